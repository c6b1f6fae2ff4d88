"""CuPy behind the ``Backend`` protocol."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy

from tensorgraph import Kernel
from tensorgraph.errors import DtypeError
from tensorgraph_cupy.availability import load
from tensorgraph_cupy.clock import EventClock
from tensorgraph_cupy.device import CudaDevice, Device
from tensorgraph_cupy.kernels import kernels_for
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.staging import LARGE, Staging

INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DTYPES = ("bool", *INTEGERS, "float32", "float64")
ON_GPU = (2, 13)  # DLPack's device types kDLCUDA and kDLCUDAManaged


class CupyBackend:
    name = "cupy"
    asynchronous = True  # what is asked for is done later: to read a value is to wait for it
    rounds = ("tf32", "bfloat16")  # precisions with which factors of products are rounded
    apart = True  # arrays lie in memory of the device's own, to which the host's are copied

    def __init__(self, cupy: Any = None) -> None:
        self.xp = cupy or load()
        self.device: Device = CudaDevice(self.xp)
        self.arrays = Arrays(self.xp, self.device)
        self.staging = Staging(self.arrays)
        self.kernels: Sequence[Kernel] = kernels_for(self.arrays)

    def asarray(self, data: Any, dtype: str | None) -> Any:
        if not isinstance(data, self.xp.ndarray):
            if not hasattr(data, "__dlpack__") or isinstance(data, numpy.ndarray | numpy.generic):
                data = numpy.asarray(data, dtype)
            elif data.__dlpack_device__()[0] in ON_GPU:
                data = self.xp.from_dlpack(data)
            else:
                data = numpy.from_dlpack(data)
        wanted = str(data.dtype) if dtype is None else dtype
        if wanted not in DTYPES:
            raise DtypeError(
                f"backend 'cupy': dtype {wanted} is not among {', '.join(DTYPES)}; use float32, "
                "with precision 'bfloat16' where products may be rounded to 16 bits"
            )
        if isinstance(data, numpy.ndarray) and data.size * numpy.dtype(wanted).itemsize >= LARGE:
            return self.staging.array(data, wanted)
        return self.xp.array(data, wanted)

    @functools.cached_property
    def planned(self) -> Device:
        """The stream of all plans, which run one after the other: so they share what libraries
        keep for a stream."""
        return self.device.beside()

    def to_host(self, array: Any) -> Any:
        return self.xp.asnumpy(array)

    def synchronize(self) -> None:
        self.xp.cuda.Device().synchronize()

    def clock(self) -> EventClock:
        """What benchmarks take the time with."""
        return EventClock(self.xp.cuda)
