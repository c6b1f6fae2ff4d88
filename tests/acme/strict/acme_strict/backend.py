"""array-api-strict behind the ``Backend`` protocol: every op runs on its portable kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import array_api_strict
import numpy

from tensorgraph import Kernel
from tensorgraph.errors import DtypeError


class StrictBackend:
    name = "strict"
    xp = array_api_strict
    kernels: Sequence[Kernel] = ()

    def asarray(self, data: Any, dtype: str | None) -> Any:
        if hasattr(data, "__dlpack__") and not isinstance(data, numpy.ndarray | numpy.generic):
            data = numpy.from_dlpack(data)
        host = numpy.array(data, dtype)
        if not hasattr(self.xp, host.dtype.name):
            raise DtypeError(f"backend 'strict': the array API standard has no {host.dtype}")
        return self.xp.asarray(host, copy=True)

    def to_host(self, array: Any) -> Any:
        return numpy.from_dlpack(array)

    def synchronize(self) -> None:
        pass
