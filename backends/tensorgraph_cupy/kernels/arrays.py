"""CuPy's arrays as what kernels take, addresses of channels-last memory, and back."""

from __future__ import annotations

import functools
from typing import Any

import numpy

from tensorgraph_cupy.device import CudaDevice, Device, Memory
from tensorgraph_cupy.kernels.reduce import new_workspace
from tensorgraph_cupy.kernels.space import order_of

Ints = tuple[int, ...]


class Arrays:
    """An array module and the device that its arrays live on.

    Arrays are (N, C, spatial…) to everybody; kernels see the memory (N, spatial…, C). With fewer
    than three axes the two are the same.
    """

    def __init__(self, xp: Any, device: Device | None = None) -> None:
        self.xp = xp
        self.device: Device = CudaDevice(xp) if device is None else device

    @property
    def workspace(self) -> int:
        """What reductions leave their parts in."""
        return self._workspace.address

    @functools.cached_property
    def _workspace(self) -> Memory:
        return new_workspace(self.device)

    def address(self, x: Any) -> int:
        """Where the elements of an array begin."""
        return int(x.ctypes.data if isinstance(x, numpy.ndarray) else x.data.ptr)

    def over(self, address: int, shape: Ints, strides: Ints, dtype: str) -> Any:
        """An array over memory that somebody else keeps; strides count elements."""
        kind: Any = dtype
        if dtype == "bfloat16":
            import ml_dtypes

            kind = ml_dtypes.bfloat16
        itemsize = numpy.dtype(kind).itemsize
        size = itemsize * (1 + sum(step * (n - 1) for step, n in zip(strides, shape)))
        cuda = self.xp.cuda
        held = cuda.MemoryPointer(cuda.UnownedMemory(address, size, self), 0)
        return self.xp.ndarray(shape, kind, held, tuple(step * itemsize for step in strides))

    def empty(self, shape: Ints, dtype: Any) -> Any:
        """A new array (N, C, spatial…) over channels-last memory."""
        if len(shape) < 3:
            return self.xp.empty(shape, dtype)
        memory = self.xp.empty((shape[0], *shape[2:], shape[1]), dtype)
        return memory.transpose(_first(len(shape)))

    def channels_last(self, x: Any) -> Any:
        """The array itself, if its memory is channels last without gaps, or else a copy."""
        if x.ndim < 3:
            return x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)
        memory = x.transpose(order_of(x.ndim))
        return self.xp.ascontiguousarray(memory).transpose(_first(x.ndim))


def _first(axes: int) -> Ints:
    """From the order of axes in memory to the one in which everybody counts them."""
    return (0, axes - 1, *range(1, axes - 1))
