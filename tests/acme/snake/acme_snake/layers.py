"""The layer ``snake``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorgraph as tg
from acme_snake.ops import reference, snake
from tensorgraph import Layer, Parameter, Spec, Tensor


class Snake(Layer):
    """``x + sin(a x)**2 / a`` with a frequency ``a`` that is learnt for each channel."""

    def __init__(self) -> None:
        self.a = Parameter(tg.initializers.ones())

    def build(self, x: Spec) -> None:
        self.a.initialize((x.shape[1], *[1] * (x.ndim - 2)), x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return snake(x, self.a)

    @staticmethod
    def reference(x: Any, state: Mapping[str, Any]) -> Any:
        """What ``tensorgraph check`` compares with."""
        return reference(x, state["a"])
