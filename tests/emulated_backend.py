"""The CuPy backend on the emulated device: its arrays are NumPy's, since the memory of the device
is that of the host. All else is what a GPU runs."""

import ctypes
import time

import ml_dtypes
import numpy as np
from cuda_libraries import opened
from device_arrays import DeviceArray, Module, on_device
from emulated_device import EmulatedDevice
from tensorgraph_cupy.backend import CupyBackend
from tensorgraph_cupy.kernels import kernels_for
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.staging import Staging


class WatchfulDevice(EmulatedDevice):
    """Refuses within a capture what a GPU could not do there: to compile, or to allocate."""

    def __init__(self, libraries=None, *, backwards=False, machine=None):
        super().__init__(libraries, backwards=backwards, machine=machine)
        if machine is None:
            self.machine.warm = set()

    def launch(self, source, function, *arguments, **more):
        if self.machine.recording is not None:
            assert (source, function) in self.machine.warm, f"{function} did not run before"
        self.machine.warm.add((source, function))
        super().launch(source, function, *arguments, **more)

    def allocate(self, size):
        assert self.machine.recording is None, "memory is asked for within a capture"
        return super().allocate(size)

    def beside(self):
        return WatchfulDevice(self.machine.libraries, machine=self.machine)


class HostArrays(Arrays):
    """Arrays over addresses of the host's memory."""

    def address(self, x):
        assert isinstance(x, DeviceArray), "a kernel is given an array of the host's"
        return super().address(x)

    def over(self, address, shape, strides, dtype):
        kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        size = kind.itemsize
        reach = size * (1 + sum(s * (n - 1) for s, n in zip(strides, shape)))
        memory = np.frombuffer((ctypes.c_byte * reach).from_address(address), kind)
        return on_device(
            np.lib.stride_tricks.as_strided(memory, shape, [s * size for s in strides])
        )


class EmulatedBackend(CupyBackend):
    def __init__(self, device=None):
        self.xp = Module()
        self.device = device or WatchfulDevice(opened())
        self.arrays = HostArrays(self.xp, self.device)
        self.staging = Staging(self.arrays)
        self.kernels = kernels_for(self.arrays)

    def to_host(self, array):
        return np.array(array, subok=False)

    def synchronize(self):
        pass

    def clock(self):
        return time.perf_counter
