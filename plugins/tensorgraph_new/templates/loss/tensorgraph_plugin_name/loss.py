"""The loss ``plugin_name``."""

from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ShapeError


def plugin_name(
    prediction: tg.Tensor,
    target: tg.Tensor,
    *,
    delta: float = 1.0,
) -> tg.Tensor:
    """The mean of ``delta**2 * (sqrt(1 + (r / delta)**2) - 1)``, where ``r`` is the difference:
    half its square up to about ``delta``, linear beyond (Charbonnier et al., 1997)."""
    if prediction.shape != target.shape:
        shapes = f"{prediction.spec} and {target.spec}"
        raise ShapeError(f"plugin_name: prediction and target are {shapes}; reshape one")
    square = tg.ops.square((prediction - target) / delta)
    # sqrt(1 + square) - 1, without the loss of digits where the difference is small
    return tg.ops.mean(square / (tg.ops.sqrt(square + 1.0) + 1.0)) * delta**2


def plugin_name_reference(prediction: Any, target: Any, delta: float = 1.0) -> Any:
    """The same in NumPy: ``tensorgraph check`` compares the two."""
    import numpy  # not before: registering a loss imports no array library

    r = (prediction - target) / delta
    return delta**2 * (numpy.sqrt(1 + r * r) - 1).mean()
