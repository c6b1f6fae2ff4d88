"""The activation ``plugin_name``."""

import tensorgraph as tg


def plugin_name(x: tg.Tensor) -> tg.Tensor:
    """``x * tanh(log(1 + exp(x)))``: mish (Misra, 2019)."""
    return x * tg.ops.tanh(tg.ops.softplus(x))
