"""Sums over axes, and what other reductions are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import of_numbers
from tensorgraph.ops.shape import broadcast_to, reshape
from tensorgraph.spec import Shaped, Spec, is_floating

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]


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


def spread(g: Tensor, x: Shaped, axis: Ints) -> Tensor:
    """What was reduced, beside every element that it came from."""
    return broadcast_to(reshape(g, shape=reduced(x, axis, True)), shape=x.shape)


@op
def sum(x: Shaped, *, axis: Any = None, keepdims: bool = False) -> Spec:
    """The sum over one axis, several, or all; of integers and bools in 64 bits."""
    return Spec(reduced(x, axis, keepdims), wide("sum", x))


sum.canonical(
    lambda x, *, axis, keepdims: {"axis": axes_of("sum", x, axis), "keepdims": bool(keepdims)}
)
sum.flops(lambda out, x, **_: x.size)
sum.kernel(of_numbers("sum"))


@sum.vjp
def _(g: Tensor, x: Shaped, *, axis: Ints) -> Tensor:
    return spread(g, x, axis)
