"""The op ``snake``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorgraph as tg
from tensorgraph import Shaped, Spec, op
from tensorgraph.errors import ShapeError

if TYPE_CHECKING:
    from tensorgraph import Tensor


@op
def snake(x: Shaped, *, a: float = 1.0) -> Spec:
    """``x + sin(a x)**2 / a``, for signals with a period (Ziyin et al., 2020)."""
    if a == 0:
        raise ShapeError("snake: a is 0; the frequency must be another number")
    return Spec(x.shape, x.dtype)


@snake.kernel
def _(xp: Any, x: Any, *, a: float) -> Any:
    return x + xp.sin(a * x) ** 2 / a


@snake.vjp
def _(g: Tensor, x: Tensor, *, a: float) -> Tensor:
    return g * (tg.ops.sin(x * (2.0 * a)) + 1.0)
