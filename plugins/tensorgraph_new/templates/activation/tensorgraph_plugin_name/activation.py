"""The activation ``plugin_name``."""

from typing import Any

import tensorgraph as tg


def plugin_name(x: tg.Tensor) -> tg.Tensor:
    """``x * tanh(log(1 + exp(x)))``: mish (Misra, 2019)."""
    return x * tg.ops.tanh(tg.ops.softplus(x))


def plugin_name_reference(x: Any) -> Any:
    """The same in NumPy: ``tensorgraph check`` compares the two."""
    import numpy  # not before: registering an activation imports no array library

    return x * numpy.tanh(numpy.log1p(numpy.exp(x)))
