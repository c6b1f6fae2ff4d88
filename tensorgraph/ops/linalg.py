"""Matrix products and norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import broadcast, one_dtype
from tensorgraph.ops.shape import permute_dims, reshape
from tensorgraph.spec import Shaped, Spec

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor
