"""The backend ``plugin_name``: an array library behind the protocol of ``tg.Backend``."""

from collections.abc import Sequence
from typing import Any

import numpy
import tensorgraph as tg


def wide_matmul(x: Any, y: Any) -> Any:
    """``x @ y`` with sums that are rounded once."""
    return numpy.matmul(x, y, dtype="float64").astype(x.dtype)


def is_float32(x: tg.Shaped, y: tg.Shaped) -> bool:
    return x.dtype == "float32"


class PluginName:
    """NumPy, with matrix products of float32 summed in float64: to see what rounding does.

    An op runs on the first of ``kernels`` that supports it, else on its portable kernel, over
    ``xp``. So a backend is whole without a kernel, and gets faster by each.
    """

    name = "plugin_name"
    xp: Any = numpy
    kernels: Sequence[tg.Kernel] = (tg.Kernel("matmul", "wide", wide_matmul, is_float32),)

    def asarray(self, data: Any, dtype: str | None) -> Any:
        """A new array, of numbers, sequences, a NumPy array or whatever exports DLPack."""
        if hasattr(data, "__dlpack__") and not isinstance(data, numpy.ndarray):
            data = numpy.from_dlpack(data)
        return numpy.array(data, dtype)

    def to_host(self, array: Any) -> Any:
        """The values as a NumPy array."""
        return numpy.asarray(array)

    def synchronize(self) -> None:
        """Wait for what was asked for: NumPy has done it when it answers."""
