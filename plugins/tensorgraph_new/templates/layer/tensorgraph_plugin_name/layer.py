"""The layer ``plugin_name``."""

from collections.abc import Mapping
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ShapeError


class PluginName(tg.Layer):
    """``x * sigmoid(a * x)``, where ``a`` is learnt for each channel and starts from ``slope``
    (Ramachandran et al., 2017)."""

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = slope
        self.weight = tg.Parameter(tg.initializers.constant(slope))

    def build(self, x: tg.Spec) -> None:
        """Give ``a`` its shape: as many numbers as ``x`` has channels, its axis 1."""
        if x.ndim < 2:
            raise ShapeError(f"plugin_name: {x} has no channels; give (N, C, …)")
        self.weight.initialize((x.shape[1], *[1] * (x.ndim - 2)), x.dtype)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return x * tg.ops.sigmoid(x * self.weight)

    @staticmethod
    def reference(x: Any, state: Mapping[str, Any]) -> Any:
        """The same in NumPy: ``tensorgraph check`` compares the two."""
        import numpy  # not before: registering a layer imports no array library

        return x / (1 + numpy.exp(-state["weight"] * x))
