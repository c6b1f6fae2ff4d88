"""Ops that change a shape and no value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.spec import Shaped, Spec

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]


def axis_of(name: str, x: Shaped, axis: int) -> int:
    """An axis counted from 0."""
    if not isinstance(axis, int) or not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{name}: axis {axis} does not fit {Spec(x.shape, x.dtype)}")
    return axis % x.ndim


@op
def reshape(x: Shaped, *, shape: Ints) -> Spec:
    """The same elements in row-major order in another shape; one size may be -1."""
    if math.prod(shape) != x.size or min(shape, default=0) < 0:
        raise ShapeError(
            f"reshape: {x} has {x.size} elements, which do not fit {list(shape)}; one size may be "
            "-1, if the others divide that number"
        )
    return Spec(shape, x.dtype)


@reshape.canonical
def _(x: Shaped, *, shape: Any) -> dict[str, Any]:
    sizes = [shape] if isinstance(shape, int) else list(shape)
    others = -math.prod(sizes)
    if sizes.count(-1) == 1 and others and x.size % others == 0:
        sizes[sizes.index(-1)] = x.size // others
    return {"shape": tuple(sizes)}


reshape.kernel(lambda xp, x, *, shape: xp.reshape(x, shape))


@reshape.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return reshape(g, shape=x.shape)


@op
def permute_dims(x: Shaped, *, axes: Ints) -> Spec:
    """The axes in another order."""
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(
            f"permute_dims: axes {list(axes)} are not an order of the {x.ndim} axes of {x}"
        )
    return Spec(tuple(x.shape[a] for a in axes), x.dtype)


permute_dims.canonical(lambda x, *, axes: {"axes": tuple(a + x.ndim if a < 0 else a for a in axes)})

permute_dims.kernel(lambda xp, x, *, axes: xp.transpose(x, axes))


@permute_dims.vjp
def _(g: Tensor, *, axes: Ints) -> Tensor:
    return permute_dims(g, axes=tuple(axes.index(i) for i in range(len(axes))))


@op
def broadcast_to(x: Shaped, *, shape: Ints) -> Spec:
    """Repeat ``x`` along axes of size 1, and along new axes in front, to fill ``shape``."""
    own = (1,) * (len(shape) - x.ndim) + x.shape
    if len(own) != len(shape) or any(n not in (1, m) for n, m in zip(own, shape)):
        raise ShapeError(f"broadcast_to: {x} does not fill {list(shape)}")
    return Spec(shape, x.dtype)


broadcast_to.canonical(lambda x, *, shape: {"shape": tuple(shape)})

broadcast_to.kernel(lambda xp, x, *, shape: xp.broadcast_to(x, shape))


@broadcast_to.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return sum_to(g, shape=x.shape)


@op
def sum_to(x: Shaped, *, shape: Ints) -> Spec:
    """Sum over the axes along which ``shape`` would be broadcast to that of ``x``."""
    lead = (1,) * (x.ndim - len(shape))
    if x.ndim < len(shape) or any(n not in (1, m) for n, m in zip((*lead, *shape), x.shape)):
        raise ShapeError(f"sum_to: {list(shape)} does not broadcast to {x}")
    return Spec(shape, x.dtype)


sum_to.canonical(lambda x, *, shape: {"shape": tuple(shape)})


@sum_to.kernel
def _(xp: Any, x: Any, *, shape: Ints) -> Any:
    lead = x.ndim - len(shape)
    inner = [i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1]
    return xp.reshape(xp.sum(x, axis=(*range(lead), *inner), dtype=x.dtype), shape)


@sum_to.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return broadcast_to(g, shape=x.shape)


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


for _mover in (reshape, permute_dims, broadcast_to):
    _mover.flops(lambda *_, **__: 0)
