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
def broadcast_to(x: Shaped, *, shape: Ints) -> Spec:
    """Repeat ``x`` along axes of size 1, and along new axes in front, to fill ``shape``."""
    own = (1,) * (len(shape) - x.ndim) + x.shape
    if len(own) != len(shape) or any(n not in (1, m) for n, m in zip(own, shape)):
        raise ShapeError(f"broadcast_to: {x} does not fill {list(shape)}")
    return Spec(shape, x.dtype)


broadcast_to.canonical(lambda x, *, shape: {"shape": tuple(shape)})
broadcast_to.kernel(lambda xp, x, *, shape: xp.broadcast_to(x, shape))


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


@broadcast_to.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return sum_to(g, shape=x.shape)


@sum_to.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return broadcast_to(g, shape=x.shape)


for _mover in (reshape, broadcast_to):
    _mover.flops(lambda *_, **__: 0)
