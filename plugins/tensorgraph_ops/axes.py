"""Axes in another order, left out and put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.shape import axis_of, reshape
from tensorgraph.spec import Shaped, Spec

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]


@op
def permute_dims(x: Shaped, *, axes: Ints) -> Spec:
    """The axes in another order."""
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(
            f"permute_dims: axes {list(axes)} are not an order of the {x.ndim} axes of {x}"
        )
    return Spec(tuple(x.shape[a] for a in axes), x.dtype)


permute_dims.canonical(lambda x, *, axes: {"axes": tuple(a + x.ndim if a < 0 else a for a in axes)})

permute_dims.flops(lambda *_, **__: 0)
permute_dims.kernel(lambda xp, x, *, axes: xp.permute_dims(x, axes))


@permute_dims.vjp
def _(g: Tensor, *, axes: Ints) -> Tensor:
    return permute_dims(g, axes=tuple(axes.index(i) for i in range(len(axes))))


def squeeze(x: Tensor, *, axis: Any = None) -> Tensor:
    """Without one axis, several or all of those that have size 1."""
    if axis is None:
        return reshape(x, shape=tuple(n for n in x.shape if n != 1))
    axes = {axis_of("squeeze", x, a) for a in ([axis] if isinstance(axis, int) else axis)}
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze: axis {axis} of {x.spec} does not have size 1")
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in axes))


def expand_dims(x: Tensor, *, axis: Any) -> Tensor:
    """With new axes of size 1, at the places ``axis`` (one or several) of the result."""
    places = [axis] if isinstance(axis, int) else list(axis)
    room = Spec((1,) * (x.ndim + len(places)))
    axes = {axis_of("expand_dims", room, a) for a in places}
    if len(axes) < len(places):
        raise ShapeError(f"expand_dims: axis {axis} names a place twice")
    sizes = iter(x.shape)
    return reshape(x, shape=tuple(1 if i in axes else next(sizes) for i in range(room.ndim)))
