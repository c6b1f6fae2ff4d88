"""NumPy behind the ``Backend`` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from tensorgraph import Kernel
from tensorgraph_numpy.kernels import KERNELS
from tensorgraph_numpy.memory import keep_freed_memory


class NumpyBackend:
    name = "numpy"
    xp = numpy
    kernels: Sequence[Kernel] = KERNELS

    def __init__(self) -> None:
        keep_freed_memory()

    def asarray(self, data: Any, dtype: str | None) -> Any:
        if hasattr(data, "__dlpack__") and not isinstance(data, numpy.ndarray | numpy.generic):
            data = numpy.from_dlpack(data)
        array = numpy.array(data, dtype)
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))

    def to_host(self, array: Any) -> Any:
        return numpy.asarray(array)

    def synchronize(self) -> None:
        pass
