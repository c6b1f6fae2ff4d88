"""Ops that reduce axes: sums, means, extremes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import Op, op
from tensorgraph.ops.elementwise import boolean, cast, equal, floating, numeric
from tensorgraph.ops.shape import broadcast_to, reshape
from tensorgraph.spec import Shaped, Spec, is_floating

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]

Axis = int | Ints | None

Function = Callable[..., Any]

UNDEFINED_FOR_NOTHING = ("max", "min", "argmax", "argmin")


def axes_of(name: str, x: Shaped, axis: Any) -> Ints:
    """An axis, several or None for all, as sorted numbers from 0."""
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    found = sorted(a + x.ndim if a < 0 else a for a in axes)
    if len(set(found) & set(range(x.ndim))) < len(found):
        raise ShapeError(f"{name}: axis {axis} does not fit {Spec(x.shape, x.dtype)}")
    return tuple(found)


def reduced(x: Shaped, axes: Any, keepdims: bool) -> Ints:
    """The shape that is left."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


def wide(name: str, x: Shaped) -> str:
    """The dtype that holds a sum: the array API's, 64 bits for integers and bools."""
    if is_floating(x.dtype):
        return x.dtype
    return "uint64" if x.dtype.startswith("uint") else "int64"


def reduction(
    name: str, doc: str, vjp: Function | None, dtype: Function, kernel: Function | None = None
) -> Op[...]:
    """An op over any axes, by default the array library's of that name."""

    def rule(x: Shaped, *, axis: Any = None, keepdims: bool = False) -> Spec:
        if math.prod([x.shape[a] for a in axis]) == 0 and name in UNDEFINED_FOR_NOTHING:
            raise ShapeError(
                f"{name}: {Spec(x.shape, x.dtype)} has no elements along axis "
                f"{', '.join(map(str, axis))}, and the {name} of nothing is undefined"
            )
        return Spec(reduced(x, axis, keepdims), dtype(name, x))

    def library(xp: Any, x: Any, *, axis: Ints, keepdims: bool) -> Any:
        return getattr(xp, name)(x, axis=axis, keepdims=keepdims)

    rule.__name__, rule.__doc__ = name, f"{doc} Over one axis, several, or all."
    declared = op(rule)
    declared.canonical(
        lambda x, *, axis, keepdims: {"axis": axes_of(name, x, axis), "keepdims": bool(keepdims)}
    )
    declared.kernel(kernel or library)
    declared.flops(lambda out, x, **_: x.size)
    if vjp is not None:
        declared.vjp(vjp)
    return declared


def spread(g: Tensor, x: Shaped, axis: Ints) -> Tensor:
    """What was reduced, beside every element that it came from."""
    return broadcast_to(reshape(g, shape=reduced(x, axis, True)), shape=x.shape)


def _sum_rule(g: Tensor, x: Shaped, *, axis: Ints) -> Tensor:
    return spread(g, x, axis)


def _extreme_rule(g: Tensor, out: Tensor, x: Tensor, *, axis: Ints) -> Tensor:
    hit = cast(equal(x, reshape(out, shape=reduced(x, axis, True))), dtype=x.dtype)
    share = reshape(g, shape=reduced(x, axis, True)) / sum(hit, axis=axis, keepdims=True)
    return hit * share


sum = reduction("sum", "The sum; of integers and bools in 64 bits.", _sum_rule, wide)

max = reduction("max", "The largest; equals share the gradient evenly.", _extreme_rule, numeric)

min = reduction("min", "The smallest; equals share the gradient evenly.", _extreme_rule, numeric)

all = reduction("all", "Whether all are true.", None, boolean)

any = reduction("any", "Whether any is true.", None, boolean)


def average(total: Tensor, x: Shaped, correction: float = 0) -> Tensor:
    count = (x.size / total.size if total.size else 1) - correction
    return total * (1 / count if count > 0 else math.nan)


def mean(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all; of nothing, NaN."""
    floating("mean", x)
    return average(sum(x, axis=axis, keepdims=keepdims), x)
