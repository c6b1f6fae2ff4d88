"""More arithmetic on each element: extremes, rounding, bounds, roots and reciprocals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tensorgraph.errors import DtypeError, ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import (
    binary,
    boolean,
    cast,
    floating,
    logical_and,
    no_gradient,
    numeric,
    unary,
    where,
)
from tensorgraph.spec import Shaped, Spec, is_floating

if TYPE_CHECKING:
    from tensorgraph.ops.elementwise import Unary
    from tensorgraph.tensor import Tensor


log: Unary = unary("log", "The natural logarithm.", lambda g, x: g / x)
pow = binary(
    "pow",
    "``x ** y``. Where ``y`` is 0 the gradient in ``x`` is 0; in ``y`` it is 0 where ``x`` is 0.",
    lambda g, out, x, y: (
        lambda: g * where(y == 0, 0.0, y * x ** where(y == 0, 1.0, y - 1.0)),
        lambda: g * where(x == 0, 0.0, out * log(where(x == 0, 1.0, x))),
    ),
    lambda xp, x, y: xp.pow(x, y),
    dtype=floating,
)

maximum = binary(
    "maximum",
    "The larger of ``x`` and ``y``; where they are equal each gets half of the gradient.",
    lambda g, x, y: (lambda: g * _share(x, y), lambda: g * _share(y, x)),
)

minimum = binary(
    "minimum",
    "The smaller of ``x`` and ``y``; where they are equal each gets half of the gradient.",
    lambda g, x, y: (lambda: g * _share(y, x), lambda: g * _share(x, y)),
)


def _share(x: Tensor, y: Tensor) -> Tensor:
    """1 where ``x > y``, a half where they are equal, else 0."""
    return cast(x > y, dtype=x.dtype) + cast(x == y, dtype=x.dtype) * 0.5


floor = unary("floor", "The largest integer not above; its gradient is 0.", no_gradient)

ceil = unary("ceil", "The smallest integer not below; its gradient is 0.", no_gradient)

round = unary("round", "The nearest integer, ties to even; its gradient is 0.", no_gradient)

square = unary("square", "``x * x``.", lambda g, x: g * 2.0 * x, dtype=numeric)

reciprocal = unary("reciprocal", "``1 / x``.", lambda g, out: -g * (out * out), lambda xp, x: 1 / x)

rsqrt = unary(
    "rsqrt",
    "``1 / sqrt(x)``.",
    lambda g, out: g * -0.5 * (out * out * out),
    lambda xp, x: 1 / xp.sqrt(x),
)

logical_xor = binary("logical_xor", "``x`` or ``y``, but not both.", dtype=boolean)

isfinite = unary(
    "isfinite", "Whether each element is neither infinite nor NaN.", dtype=lambda name, x: "bool"
)


@op
def clip(x: Shaped, *, min: float | None = None, max: float | None = None) -> Spec:
    """``x`` held between two numbers; the gradient is 1 from ``min`` to ``max``, 0 outside."""
    if (min is None and max is None) or (min is not None and max is not None and min > max):
        raise ShapeError(f"clip: min {min} and max {max} bound nothing; give min <= max, or one")
    return Spec(x.shape, numeric("clip", x))


@clip.canonical
def _(x: Shaped, *, min: float | None, max: float | None) -> dict[str, float | None]:
    number = float if is_floating(x.dtype) else int
    if number is int and any(b is not None and b % 1 for b in (min, max)):
        raise DtypeError(
            f"clip: {Spec(x.shape, x.dtype)} cannot be held between {min} and {max}; cast it: "
            "tg.ops.cast(x, dtype='float32')"
        )
    return {name: b if b is None else number(b) for name, b in (("min", min), ("max", max))}


clip.kernel(lambda xp, x, *, min, max: xp.clip(x, min, max))


@clip.vjp
def _(g: Tensor, x: Tensor, *, min: float | None, max: float | None) -> Tensor:
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    return where(logical_and(x >= low, x <= high), g, 0.0)
