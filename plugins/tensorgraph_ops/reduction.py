"""Reductions beyond the sum: means, extremes and where they are, products, running sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import Op, op
from tensorgraph.ops.elementwise import (
    boolean,
    cast,
    equal,
    floating,
    numeric,
    of_numbers,
    sqrt,
    where,
)
from tensorgraph.ops.reduction import axes_of, reduced, spread, sum, wide  # noqa: A004  the op
from tensorgraph.ops.shape import axis_of, reshape
from tensorgraph.spec import Shaped, Spec, is_floating
from tensorgraph_ops.axes import permute_dims
from tensorgraph_ops.functions import exp

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]
Axis = int | Ints | None
Function = Callable[..., Any]

UNDEFINED_FOR_NOTHING = ("max", "min", "argmax", "argmin")


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


def _extreme_rule(g: Tensor, out: Tensor, x: Tensor, *, axis: Ints) -> Tensor:
    hit = cast(equal(x, reshape(out, shape=reduced(x, axis, True))), dtype=x.dtype)
    share = reshape(g, shape=reduced(x, axis, True)) / sum(hit, axis=axis, keepdims=True)
    return hit * share


def _logsumexp(xp: Any, x: Any, *, axis: Ints, keepdims: bool) -> Any:
    if x.size == 0:
        return xp.sum(x, axis=axis, keepdims=keepdims) - math.inf
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.exp(x - top), axis=axis, keepdims=True)
    none = total == 0  # all were -inf; written so that NaN stays NaN and no log(0) warns
    out = xp.where(
        none, xp.full_like(top, -math.inf), xp.log(xp.where(none, xp.ones_like(total), total)) + top
    )
    return out if keepdims else xp.squeeze(out, axis=axis)


def _logsumexp_rule(g: Tensor, out: Tensor, x: Tensor, *, axis: Ints) -> Tensor:
    finite = where(out == -math.inf, 0.0, out)
    return spread(g, x, axis) * exp(x - reshape(finite, shape=reduced(x, axis, True)))


def _position(find: str) -> Function:
    def kernel(xp: Any, x: Any, *, axis: Ints, keepdims: bool) -> Any:
        if len(axis) == 1:
            return getattr(xp, find)(x, axis=axis[0], keepdims=keepdims)
        kept = [i for i in range(x.ndim) if i not in axis]
        rows = xp.permute_dims(x, (*kept, *axis))
        flat = xp.reshape(rows, (*rows.shape[: len(kept)], math.prod(rows.shape[len(kept) :])))
        return xp.reshape(getattr(xp, find)(flat, axis=-1), reduced(x, axis, keepdims))

    return kernel


def _index(name: str, x: Shaped) -> str:
    numeric(name, x)
    return "int64"


max = reduction("max", "The largest; equals share the gradient evenly.", _extreme_rule, numeric)
min = reduction("min", "The smallest; equals share the gradient evenly.", _extreme_rule, numeric)
all = reduction("all", "Whether all are true.", None, boolean)
any = reduction("any", "Whether any is true.", None, boolean)
logsumexp = reduction(
    "logsumexp",
    "``log(sum(exp(x)))`` without overflow; of nothing, -inf.",
    _logsumexp_rule,
    floating,
    _logsumexp,
)
WHERE = "the first of equals, counted in row-major order along the reduced axes."
argmax = reduction("argmax", f"Where the largest is: {WHERE}", None, _index, _position("argmax"))
argmin = reduction("argmin", f"Where the smallest is: {WHERE}", None, _index, _position("argmin"))


def average(total: Tensor, x: Shaped, correction: float = 0) -> Tensor:
    count = (x.size / total.size if total.size else 1) - correction
    return total * (1 / count if count > 0 else math.nan)


def root(x: Tensor) -> Tensor:
    """The square root, with 0 for its infinite gradient at 0."""
    zero = x == 0
    return where(zero, x.constant(0), sqrt(where(zero, x.constant(1), x)))


def mean(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all; of nothing, NaN."""
    floating("mean", x)
    return average(sum(x, axis=axis, keepdims=keepdims), x)


def var(x: Tensor, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Tensor:
    """The variance: the sum of squared deviations from the mean over ``n - correction``.

    NaN where ``n <= correction``. PyTorch's default is ``correction=1``.
    """
    deviation = x - mean(x, axis=axis, keepdims=True)
    return average(sum(deviation * deviation, axis=axis, keepdims=keepdims), x, correction)


def std(x: Tensor, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Tensor:
    """The standard deviation: the square root of ``var``. Its gradient where it is 0 is 0."""
    return root(var(x, axis=axis, correction=correction, keepdims=keepdims))


def prod(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over one axis, several, or all; of nothing, 1. Integers multiply in 64 bits.

    A tree of multiplications: its gradient divides by nothing, so zeros are no exception.
    """
    axes = axes_of("prod", x, axis)
    kept = [i for i in range(x.ndim) if i not in axes]
    n = math.prod([x.shape[i] for i in axes])
    x = x if is_floating(x.dtype) else cast(x, dtype=wide("prod", x))
    shape = reduced(x, axes, keepdims)
    rows = reshape(permute_dims(x, axes=(*axes, *kept)), shape=(n, *[x.shape[i] for i in kept]))
    if n == 0:
        return reshape(sum(rows, axis=0) + 1, shape=shape)
    odd = []
    while n > 1:
        if n % 2:
            odd.append(rows[n - 1])
        n //= 2
        rows = rows[:n] * rows[n : 2 * n]
    out = rows[0]
    for factor in odd:
        out = out * factor
    return reshape(out, shape=shape)


@op
def cumsum(x: Shaped, *, axis: int, reverse: bool = False) -> Spec:
    """The running sum along ``axis``, from its end where ``reverse``. Integers in 64 bits."""
    return Spec(x.shape, wide("cumsum", x))


@cumsum.canonical
def _(x: Shaped, *, axis: int, reverse: bool) -> dict[str, Any]:
    return {"axis": axis_of("cumsum", x, axis), "reverse": bool(reverse)}


@cumsum.kernel
def _(xp: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    total = of_numbers("cumulative_sum")
    if reverse:
        return xp.flip(total(xp, xp.flip(x, axis=axis), axis=axis), axis=axis)
    return total(xp, x, axis=axis)


@cumsum.vjp
def _(g: Tensor, *, axis: int, reverse: bool) -> Tensor:
    return cumsum(g, axis=axis, reverse=not reverse)
