"""Ops that reduce axes: sums, means, extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.shape import broadcast_to, reshape
from tensorgraph.spec import Shaped, Spec

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]
Axis = int | Ints | None


def axes_of(name: str, x: Shaped, axis: Any) -> Ints:
    """An axis, several or None for all, as sorted numbers from 0."""
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    found = sorted(a + x.ndim if a < 0 else a for a in axes)
    if any(not 0 <= a < x.ndim for a in found) or len(set(found)) < len(found):
        raise ShapeError(f"{name}: axis {axis} does not fit {Spec(x.shape, x.dtype)}")
    return tuple(found)


def reduced(x: Shaped, axes: Ints, keepdims: bool) -> Ints:
    """The shape that is left."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


@op
def sum(x: Shaped, *, axis: Axis = None, keepdims: bool = False) -> Spec:
    """The sum over one axis, several, or all."""
    return Spec(reduced(x, axis, keepdims), x.dtype)


@sum.canonical
def _(x: Shaped, *, axis: Axis, keepdims: bool) -> dict[str, Any]:
    return {"axis": axes_of("sum", x, axis), "keepdims": bool(keepdims)}


sum.kernel(
    lambda xp, x, *, axis, keepdims: xp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)
)


@sum.vjp
def _(g: Tensor, x: Shaped, *, axis: Ints) -> Tensor:
    return broadcast_to(reshape(g, shape=reduced(x, axis, True)), shape=x.shape)


def mean(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all."""
    total = sum(x, axis=axis, keepdims=keepdims)
    return total * (total.size / x.size) if x.size else total / 0.0
