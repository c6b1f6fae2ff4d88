"""Matrix products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import broadcast, one_dtype
from tensorgraph.ops.shape import reshape
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.axes import expand_dims, permute_dims, squeeze

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


@op
def matmul(x: Shaped, y: Shaped) -> Spec:
    """``x @ y``: (…,M,K), (…,K,N) → (…,M,N); a vector is a row on the left and a column on the
    right, and that axis is then left out."""
    shapes = f"x {Spec(x.shape, x.dtype)}, y {Spec(y.shape, y.dtype)}"
    if not x.ndim or not y.ndim:
        raise ShapeError(f"matmul: takes vectors and matrices, not numbers: {shapes}; use *")
    size = y.shape[0] if y.ndim == 1 else y.shape[-2]
    if x.shape[-1] != size:
        raise ShapeError(f"matmul: x has {x.shape[-1]} columns and y {size} rows: {shapes}")
    batch = broadcast("matmul", Spec(x.shape[:-2]), Spec(y.shape[:-2]))
    rows, columns = x.shape[-2:-1], y.shape[-1:] if y.ndim > 1 else ()
    return Spec((*batch, *rows, *columns), one_dtype("matmul", x, y))


matmul.kernel(lambda xp, x, y: xp.matmul(x, y))

matmul.flops(lambda out, x, y: 2 * out.size * x.shape[-1])


@matmul.vjp
def _(g: Tensor, x: Tensor, y: Tensor) -> Any:
    row, column = x.ndim == 1, y.ndim == 1
    x = expand_dims(x, axis=0) if row else x
    y = expand_dims(y, axis=1) if column else y
    g = expand_dims(g, axis=-1) if column else g
    g = expand_dims(g, axis=-2) if row else g

    def of_x() -> Tensor:
        gx = matmul(g, _transposed(y))
        return squeeze(gx, axis=-2) if row else gx

    def of_y() -> Tensor:
        if y.ndim == 2 and x.ndim > 2:  # one product instead of a batch of them, summed
            gy = matmul(_transposed(_flat(x)), _flat(g))
        else:
            gy = matmul(_transposed(x), g)
        return squeeze(gy, axis=-1) if column else gy

    return of_x, of_y


def _transposed(x: Tensor) -> Tensor:
    return permute_dims(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _flat(x: Tensor) -> Tensor:
    return reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))
