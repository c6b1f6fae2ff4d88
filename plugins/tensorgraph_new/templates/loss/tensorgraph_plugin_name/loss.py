"""The loss ``plugin_name``."""

import tensorgraph as tg
from tensorgraph.errors import ShapeError


def plugin_name(prediction: tg.Tensor, target: tg.Tensor, *, delta: float = 1.0) -> tg.Tensor:
    """The mean of ``delta**2 * (sqrt(1 + (r / delta)**2) - 1)``, where ``r`` is the difference:
    half its square up to about ``delta``, linear beyond (Charbonnier et al., 1997)."""
    if prediction.shape != target.shape:
        raise ShapeError(
            f"plugin_name: the prediction is {prediction.spec} and the target {target.spec}; "
            "reshape one"
        )
    square = tg.ops.square((prediction - target) / delta)
    # sqrt(1 + square) - 1, without the loss of digits where the difference is small
    return tg.ops.mean(square / (tg.ops.sqrt(square + 1.0) + 1.0)) * delta**2
