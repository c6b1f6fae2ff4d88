"""Where kernels are timed: memory with random values, PyTorch's tensors over the same memory, and
runs of both that are captured into CUDA graphs and timed by the device's events."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from tensorgraph_cupy.device import CudaDevice, Device, Memory
from tensorgraph_cupy.kernels.reduce import new_workspace
from tensorgraph_cupy.kernels.spelling import SIZES
from tensorgraph_cupy.kernels.view import View
from tensorgraph_cupy.lib.workspace import Workspace
from tensorgraph_cupy.plan.layout import own_strides

from bench.cuda.setting import Setting

Work = Callable[[Device], None]
BLOCK = 1 << 22  # random numbers that all arrays begin somewhere in
L2 = 64 << 20  # bytes: no less than the second-level cache of an H100 or H200, which has 50 MiB
OWN = "own kernel"
ROUNDS, SECONDS = 7, 1e-3  # readings of each way, and how long a reading is at least
MOST = 32  # sets of arrays that a reading goes through


class Held(NamedTuple):
    """An array and its memory, channels last."""

    memory: Memory
    view: View

    @property
    def address(self) -> int:
        return self.view.address

    @property
    def shape(self) -> tuple[int, ...]:
        return self.view.shape


class Trial(NamedTuple):
    """One set of arrays: what we launch on it, and what PyTorch does with the same values, whose
    result is to be that of ``outs``. ``holds``: what has to live as long; ``by``: whose kernel
    it is."""

    ours: Work
    theirs: Callable[[], Any] | None
    outs: tuple[Held, ...]
    holds: Any = ()
    by: str = OWN


class Runner(NamedTuple):
    """Calls made ready: ``replay`` asks for so many ``calls``; ``seconds`` times what is asked."""

    replay: Callable[[], object]
    calls: int
    seconds: Callable[[Callable[[], object]], float]
    graph: bool

    def timed(self, times: int) -> float:
        """The seconds of a call."""

        def work() -> None:
            for _ in range(times):
                self.replay()

        return self.seconds(work) / (times * self.calls)


class Ground:
    """A device with a stream of its own."""

    def __init__(self, setting: Setting) -> None:
        backend = setting.backend()
        self.emulated, self.small = setting.emulated, setting.small
        self.arrays = backend.arrays
        self.torch: Any = (setting.torch() or (None, ""))[0]
        if self.emulated:
            self.device: Device = backend.device.beside()
            self.event: Callable[[], Any] = time.perf_counter
            self.between: Callable[[Any, Any], float] = lambda start, end: end - start
        else:
            cupy = backend.xp
            stream = cupy.cuda.Stream(non_blocking=True)
            self.device = CudaDevice(cupy, stream)

            def event() -> Any:
                made = cupy.cuda.Event()
                made.record(stream)
                return made

            def between(start: Any, end: Any) -> float:
                end.synchronize()
                return float(cupy.cuda.get_elapsed_time(start, end)) / 1e3

            self.event, self.between = event, between
        self._workspace = new_workspace(self.device)
        self.scratch = Workspace(self.device)
        self._random = np.random.default_rng(0)
        self._blocks: dict[str, Memory] = {}
        self.rounds, self.least = (2, 0.0) if self.small else (ROUNDS, SECONDS)

    @property
    def workspace(self) -> int:
        """Where reductions leave their parts."""
        return self._workspace.address

    # arrays

    def empty(self, shape: Sequence[int], dtype: str = "float32") -> Held:
        """Filled with NaN, so that what is not written is seen."""
        shape = tuple(shape)
        size = math.prod(shape) * SIZES[dtype]
        memory = self.device.allocate(max(1, size))
        self.device.fill(memory.address, size, 0xFF)
        return Held(memory, View(memory.address, shape, own_strides(shape), dtype))

    def random(self, shape: Sequence[int], dtype: str = "float32") -> Held:
        """Normally distributed: zeros would draw less power, and run faster."""
        held = self.empty(shape, dtype)
        block, size, done = self._block(dtype), math.prod(shape) * SIZES[dtype], 0
        start = int(self._random.integers(block.size // 32)) * 16
        while done < size:
            part = min(size - done, block.size - start)
            self.device.copy(held.address + done, block.address + start, part)
            done, start = done + part, 0
        return held

    def put(self, array: Any) -> Held:
        """The values of an array of no more than two axes."""
        array = np.ascontiguousarray(array)
        held = self.empty(array.shape, array.dtype.name)
        self.device.copy_in(held.address, array)
        self.device.synchronize()
        return held

    def _block(self, dtype: str) -> Memory:
        if dtype not in self._blocks:
            drawn = self._random.standard_normal(BLOCK >> 8 if self.small else BLOCK, np.float32)
            if dtype == "bfloat16":
                drawn = (drawn.view(np.uint32) >> 16).astype(np.uint16)
            self._blocks[dtype] = self.device.allocate(drawn.nbytes)
            self.device.copy_in(self._blocks[dtype].address, drawn)
            self.device.synchronize()
        return self._blocks[dtype]

    def tensor(self, held: Held) -> Any:
        """PyTorch's, over the same memory, whose values are there: its stream is another one."""
        self.device.synchronize()
        torch, view = self.torch, held.view
        bits = {"bfloat16": "int16", "uint32": "int32"}.get(view.dtype, view.dtype)
        flat = self.arrays.over(view.address, (math.prod(view.shape),), (1,), bits)
        made = torch.from_dlpack(flat)
        if view.dtype == "bfloat16":
            made = made.view(torch.bfloat16)
        return made.as_strided(view.shape, view.strides)

    def round_as(self, precision: str) -> None:
        """Let PyTorch multiply float32 as this precision does, by its fastest convolutions."""
        rounded, backends = precision == "tf32", self.torch.backends
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = rounded
        backends.cudnn.benchmark = True

    # runs

    def synchronize(self) -> None:
        self.device.synchronize()
        if self.torch is not None and not self.emulated:
            self.torch.cuda.synchronize()

    def failed(self, error: Exception) -> None:
        """Raise the error again where it broke the device: nothing that comes after would work."""
        try:
            self.synchronize()
        except Exception:
            raise error from None

    def sets(self, size: int) -> int:
        """How many sets of arrays, each of so many bytes, are more than the cache holds."""
        return 2 if self.small else max(1, min(MOST, -(-2 * L2 // max(1, size))))

    def ours(self, works: Sequence[Work]) -> Runner:
        """Captured, after a run of each."""

        def work() -> None:
            for each in works:
                each(self.device)

        work()
        self.device.synchronize()
        return Runner(self.device.capture(work), len(works), self._seconds, True)

    def _seconds(self, work: Callable[[], object]) -> float:
        start = self.event()
        work()
        return self.between(start, self.event())

    def theirs(self, works: Sequence[Callable[[], Any]]) -> Runner:
        """PyTorch's, captured likewise; launched one by one where it cannot be captured. Its
        results lie apart, as ours do: one that lay where the last one did would stay in the cache.
        """
        torch = self.torch

        def work() -> None:
            results = [each() for each in works]
            del results  # all of them are held up to here

        for _ in range(2):  # its libraries look for the fastest way in the first run
            work()
        self.synchronize()
        if self.emulated:
            return Runner(work, len(works), self._seconds, False)

        def seconds(work: Callable[[], object]) -> float:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end)) / 1e3

        with contextlib.suppress(RuntimeError):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                work()
            return Runner(graph.replay, len(works), seconds, True)
        torch.cuda.synchronize()
        return Runner(work, len(works), seconds, False)

    def interleaved(self, runners: Sequence[Runner]) -> list[list[float]]:
        """Readings of each, in turn: seconds of a call."""
        self.synchronize()
        times = []
        for runner in runners:
            runner.timed(1)
            times.append(max(1, min(1000, math.ceil(self.least / max(self._sample(runner), 1e-7)))))
        readings: list[list[float]] = [[] for _ in runners]
        for _ in range(self.rounds):
            for runner, count, seconds in zip(runners, times, readings, strict=True):
                self.synchronize()
                seconds.append(runner.timed(count))
        return readings

    def _sample(self, runner: Runner) -> float:
        """The seconds of a replay."""
        return runner.timed(1) * runner.calls

    def error(self, ours: Held, theirs: Any) -> float:
        """How far apart the two are, as a share of the largest value; infinite where ours is not
        finite and theirs is."""
        wide = self.torch.float64 if self.emulated else self.torch.float32
        x, y = self.tensor(ours).to(wide), theirs.reshape(ours.shape).to(wide)
        if not bool(x.isfinite().all()):
            return math.inf
        return float((x - y).abs().max() / y.abs().max().clamp_min(1e-30))


def middle(readings: Sequence[float]) -> float:
    return statistics.median(readings)
