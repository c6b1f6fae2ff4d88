"""The regularizer ``plugin_name``."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError

Parameters = Mapping[str, tg.Tensor]


def plugin_name(strength: float = 1e-4) -> Callable[[Parameters], tg.Tensor]:
    """strength · Σ log(1 + w²) over the weights: what a Cauchy distribution of them before any
    data would give. Biases and other parameters are left alone."""

    def penalty(parameters: Parameters) -> tg.Tensor:
        weights = [w for name, w in parameters.items() if name.endswith("weight")]
        if not weights:
            names = ", ".join(parameters) or "none"
            raise ConfigError(f"plugin_name: no weight is among the parameters: {names}")
        total = tg.ops.sum(tg.ops.log1p(weights[0] * weights[0]))
        for w in weights[1:]:
            total = total + tg.ops.sum(tg.ops.log1p(w * w))
        return total * strength

    return penalty


def plugin_name_reference(parameters: Mapping[str, Any], strength: float = 1e-4) -> Any:
    """The same in NumPy: ``tensorgraph check`` compares the two."""
    import numpy  # not before: registering a regularizer imports no array library

    weights = [w for name, w in parameters.items() if name.endswith("weight")]
    return strength * sum(numpy.log(1 + w**2).sum() for w in weights)
