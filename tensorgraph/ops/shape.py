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


@op
def reshape(x: Shaped, *, shape: Ints) -> Spec:
    """The same elements in row-major order in another shape; one size may be -1."""
    if math.prod(shape) != x.size or min(shape, default=0) < 0:
        raise ShapeError(f"reshape: {Spec(x.shape, x.dtype)} does not fit {list(shape)}")
    return Spec(shape, x.dtype)


@reshape.canonical
def _(x: Shaped, *, shape: Any) -> dict[str, Any]:
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if sizes.count(-1) == 1:
        rest = -math.prod(sizes)
        if rest and x.size % rest == 0:
            sizes[sizes.index(-1)] = x.size // rest
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
            f"permute_dims: axes {list(axes)} are not an order of the {x.ndim} axes of "
            f"{Spec(x.shape, x.dtype)}"
        )
    return Spec(tuple(x.shape[a] for a in axes), x.dtype)


@permute_dims.canonical
def _(x: Shaped, *, axes: Any) -> dict[str, Any]:
    return {"axes": tuple(a + x.ndim if a < 0 else a for a in axes)}


permute_dims.kernel(lambda xp, x, *, axes: xp.transpose(x, axes))


@permute_dims.vjp
def _(g: Tensor, *, axes: Ints) -> Tensor:
    return permute_dims(g, axes=tuple(axes.index(i) for i in range(len(axes))))


@op
def broadcast_to(x: Shaped, *, shape: Ints) -> Spec:
    """Repeat ``x`` along axes of size 1, and along new axes in front, to fill ``shape``."""
    own = (1,) * (len(shape) - x.ndim) + x.shape
    if len(own) != len(shape) or any(n not in (1, m) for n, m in zip(own, shape, strict=True)):
        raise ShapeError(f"broadcast_to: {Spec(x.shape, x.dtype)} does not fill {list(shape)}")
    return Spec(shape, x.dtype)


broadcast_to.canonical(lambda x, *, shape: {"shape": tuple(shape)})
broadcast_to.kernel(lambda xp, x, *, shape: xp.broadcast_to(x, shape))


@broadcast_to.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return sum_to(g, shape=x.shape)


@op
def sum_to(x: Shaped, *, shape: Ints) -> Spec:
    """Sum over the axes along which ``shape`` would be broadcast to that of ``x``."""
    return Spec(shape, x.dtype)


@sum_to.kernel
def _(xp: Any, x: Any, *, shape: Ints) -> Any:
    lead = x.ndim - len(shape)
    inner = [i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1]
    return xp.reshape(xp.sum(x, axis=(*range(lead), *inner)), shape)


@sum_to.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return broadcast_to(g, shape=x.shape)
