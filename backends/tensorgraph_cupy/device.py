"""The seam below the kernels: memory, launches, copies, events and graphs of one GPU stream.

Every kernel's launch function takes a ``Device``, integer addresses and shapes, and nothing of
CuPy. So the same code runs a kernel at once, inside a captured step, and in the tests, where
another ``Device`` runs the same CUDA sources on the processor.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy

from tensorgraph.errors import BackendError

OPTIONS = ("-std=c++17",)
LESS = (
    "smaller batches or images take less, and precision 'bfloat16' half for what is computed in "
    "between; nvidia-smi shows who else uses the GPU"
)

# An address is a Python int, which is passed in 64 bits; a number is a NumPy scalar of exactly the
# type that the kernel declares, such as numpy.int32(n): nothing else is ever converted.
Argument = int | numpy.generic
Sizes = tuple[int, ...]


class FullError(BackendError, MemoryError):
    """The GPU has no memory left: how much was asked for, what to do."""


class Memory(NamedTuple):
    """Bytes on the device, for as long as somebody holds this. Aligned to 256 at least."""

    address: int
    size: int
    owner: Any = None


class Device(Protocol):
    """A GPU, and the stream on it in which work is done in order.

    What is asked for is done later, in order; the host goes on at once. ``beside()`` gives a second
    stream, ordered with the first one only by events.
    """

    @property
    def name(self) -> str:
        """The model of the GPU: plans are kept by it."""

    @property
    def processors(self) -> int:
        """How many multiprocessors share the blocks of a grid."""

    @property
    def stream(self) -> int:
        """The stream as libraries take it: the address of a ``cudaStream_t``."""

    def allocate(self, size: int) -> Memory:
        """So many bytes, with no values yet."""

    def pinned(self, size: int) -> Any:
        """Bytes (NumPy, uint8) on the host that the device copies from while the host goes on."""

    def launch(
        self,
        source: str,
        function: str,
        grid: Sizes,
        block: Sizes,
        arguments: Sequence[Argument],
        shared_bytes: int = 0,
    ) -> None:
        """Run an ``extern "C"`` kernel of a CUDA source, which is compiled when first needed."""

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy bytes on the device; the two do not overlap."""

    def copy_in(self, target: int, host: Any) -> None:
        """Copy a contiguous NumPy array to the device. It must live, and not change, until that is
        done: CUDA may read memory that is not ``pinned`` later too."""

    def copy_out(self, host: Any, source: int) -> None:
        """Fill a contiguous NumPy array from the device, and wait until that is done."""

    def fill(self, target: int, size: int, byte: int = 0) -> None:
        """Set each of so many bytes."""

    def library(self, name: str) -> Any:
        """A library made ready for this device, once: ``open(device)`` of ``lib/<name>.py``."""

    def beside(self) -> Device:
        """The same device with a stream of its own."""

    def record(self) -> Any:
        """An event: all that was asked for up to now."""

    def wait(self, event: Any) -> None:
        """What is asked for from now on is done after the event."""

    def finish(self, event: Any) -> None:
        """Make the host wait for an event."""

    def synchronize(self) -> None:
        """Make the host wait until all is done."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """A graph of what ``work()`` asks for, on this stream and on those that it orders with it
        by events; nothing of it is done. Each call of the result does it all once, in order with
        this stream. Kernels and libraries must have run before, so that all is compiled, and the
        memory must outlive the result."""


class CudaDevice:
    """A GPU by CuPy; without a stream of its own it follows CuPy's current one."""

    def __init__(self, cupy: Any, stream: Any = None) -> None:
        self.cupy = cupy
        self.runtime = cupy.cuda.runtime
        self._stream = stream
        self._libraries: dict[str, Any] = {}

    @functools.cached_property
    def _number(self) -> int:
        return int(self.runtime.getDevice())

    @functools.cached_property
    def _properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.runtime.getDeviceProperties(self._number)
        return found

    @property
    def name(self) -> str:
        return str(self._properties["name"].decode())

    @property
    def processors(self) -> int:
        return int(self._properties["multiProcessorCount"])

    @property
    def _current(self) -> Any:
        return self._stream or self.cupy.cuda.get_current_stream()

    @property
    def stream(self) -> int:
        return int(self._current.ptr)

    def allocate(self, size: int) -> Memory:
        with self._in_use():  # the pool hands freed memory out again in the order of one stream
            try:
                pointer = self.cupy.cuda.alloc(size)
            except MemoryError as error:
                free, total = self.runtime.memGetInfo()
                raise FullError(
                    f"{size / 2**20:,.0f} MiB are asked for, and {free / 2**20:,.0f} of the GPU's "
                    f"{total / 2**20:,.0f} MiB are free; {LESS}"
                ) from error
        return Memory(int(pointer.ptr), size, pointer)

    def pinned(self, size: int) -> Any:
        return importlib.import_module("cupyx").empty_pinned(size, numpy.uint8)

    def launch(
        self,
        source: str,
        function: str,
        grid: Sizes,
        block: Sizes,
        arguments: Sequence[Argument],
        shared_bytes: int = 0,
    ) -> None:
        kernel = _kernel(self.cupy, self._number, source, function, shared_bytes)
        kernel(tuple(grid), tuple(block), tuple(arguments), shared_bytes, self._current)

    def copy(self, target: int, source: int, size: int) -> None:
        if size:
            kind = self.runtime.memcpyDeviceToDevice
            self.runtime.memcpyAsync(target, source, size, kind, self.stream)

    def copy_in(self, target: int, host: Any) -> None:
        if host.nbytes:
            kind = self.runtime.memcpyHostToDevice
            self.runtime.memcpyAsync(target, host.ctypes.data, host.nbytes, kind, self.stream)

    def copy_out(self, host: Any, source: int) -> None:
        kind = self.runtime.memcpyDeviceToHost
        self.runtime.memcpyAsync(host.ctypes.data, source, host.nbytes, kind, self.stream)
        self.synchronize()

    def fill(self, target: int, size: int, byte: int = 0) -> None:
        if size:  # CUDA has no graph node for nothing
            self.runtime.memsetAsync(target, byte, size, self.stream)

    def library(self, name: str) -> Any:
        if name not in self._libraries:
            module = importlib.import_module(f"tensorgraph_cupy.lib.{name}")
            self._libraries[name] = module.open(self)
        return self._libraries[name]

    def beside(self) -> CudaDevice:
        return CudaDevice(self.cupy, self.cupy.cuda.Stream(non_blocking=True))

    def record(self) -> Any:
        event = self.cupy.cuda.Event(disable_timing=True)
        event.record(self._current)
        return event

    def wait(self, event: Any) -> None:
        self._current.wait_event(event)

    def finish(self, event: Any) -> None:
        event.synchronize()

    def synchronize(self) -> None:
        self._current.synchronize()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        stream = self._current  # CUDA refuses to capture the default stream: beside() has its own
        with stream:
            stream.begin_capture()
            try:
                work()
            except BaseException:
                with contextlib.suppress(RuntimeError):  # the first error is the one to read
                    stream.end_capture()
                raise
            graph = stream.end_capture()
        graph.upload(stream)
        return lambda: graph.launch(stream)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._stream or contextlib.nullcontext():
            yield


@functools.cache
def _kernel(cupy: Any, device: int, source: str, function: str, shared_bytes: int) -> Any:
    """The compiled function. CuPy keeps what NVRTC made, in memory and on the disk, by the text of
    the source; its ``Function`` takes the stream, which a ``RawKernel`` does not."""
    raw = cupy.RawKernel(source, function, OPTIONS)
    if shared_bytes > 48 * 1024:  # more has to be asked for
        raw.max_dynamic_shared_size_bytes = shared_bytes
    return raw.kernel
