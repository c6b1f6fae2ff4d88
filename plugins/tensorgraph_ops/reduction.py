"""Reductions beyond sums, means and extremes: products, variances, positions, running sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorgraph.op import op
from tensorgraph.ops.elementwise import cast, floating, numeric, sqrt, where
from tensorgraph.ops.reduction import (
    Axis,
    Function,
    Ints,
    average,
    axes_of,
    mean,
    reduced,
    reduction,
    spread,
    sum,  # noqa: A004  the op
    wide,
)
from tensorgraph.ops.shape import permute_dims, reshape
from tensorgraph.spec import Shaped, Spec, is_floating
from tensorgraph_ops.functions import exp

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


def _logsumexp(xp: Any, x: Any, *, axis: Ints, keepdims: bool) -> Any:
    if x.size == 0:
        return xp.sum(x, axis=axis, keepdims=keepdims) - math.inf
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.exp(x - top), axis=axis, keepdims=True)
    none = total == 0  # all were -inf; written so that NaN stays NaN and no log(0) warns
    out = xp.where(none, xp.full_like(top, -math.inf), xp.log(total + none) + top)
    return out if keepdims else xp.squeeze(out, axis=axis)


def _logsumexp_rule(g: Tensor, out: Tensor, x: Tensor, *, axis: Ints) -> Tensor:
    finite = where(out == -math.inf, 0.0, out)
    return spread(g, x, axis) * exp(x - reshape(finite, shape=reduced(x, axis, True)))


def _position(find: str) -> Function:
    def kernel(xp: Any, x: Any, *, axis: Ints, keepdims: bool) -> Any:
        kept = [i for i in range(x.ndim) if i not in axis]
        rows = xp.transpose(x, (*kept, *axis))
        flat = rows.reshape(*rows.shape[: len(kept)], math.prod(rows.shape[len(kept) :]))
        return getattr(xp, find)(flat, axis=-1).reshape(reduced(x, axis, keepdims))

    return kernel


def _index(name: str, x: Shaped) -> str:
    numeric(name, x)
    return "int64"


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


def var(x: Tensor, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Tensor:
    """The variance: the sum of squared deviations from the mean over ``n - correction``.

    NaN where ``n <= correction``. PyTorch's default is ``correction=1``.
    """
    deviation = x - mean(x, axis=axis, keepdims=True)
    return average(sum(deviation * deviation, axis=axis, keepdims=keepdims), x, correction)


def std(x: Tensor, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Tensor:
    """The standard deviation: the square root of ``var``."""
    return sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


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
    return {"axis": axes_of("cumsum", x, axis)[0], "reverse": bool(reverse)}


@cumsum.kernel
def _(xp: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    if reverse:
        return xp.flip(xp.cumsum(xp.flip(x, axis), axis=axis), axis)
    return xp.cumsum(x, axis=axis)


@cumsum.vjp
def _(g: Tensor, *, axis: int, reverse: bool) -> Tensor:
    return cumsum(g, axis=axis, reverse=not reverse)
