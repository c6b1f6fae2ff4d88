"""TensorGraph's side of a training step on the GPU: eager, and compiled into one CUDA graph."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from tensorgraph_cupy.kernels.move import Flat, copy

import tensorgraph as tg
from bench.compare.libraries import ours
from bench.compare.program import Program, Request
from bench.compare.workloads import Workload
from bench.cuda.counts import of_task

COPIED = 1 << 29  # bytes
COPIES, READINGS = 20, 5


class Ours:
    """One way to run the step. All is asked for within ``active()``."""

    side = "TensorGraph"

    def __init__(self, backend: Any, precision: str, variant: str) -> None:
        self.backend, self.precision, self.variant = backend, precision, variant
        self.cuda = getattr(backend.xp, "cuda", None)  # a rehearsal has none
        self.stream = self.cuda and self.cuda.Stream(non_blocking=True)
        self.program: Program

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        with self.stream or contextlib.nullcontext(), tg.use(precision=self.precision):
            yield

    def prepare(self, workload: Workload, weights: dict[str, Any], dropout: bool) -> None:
        request = Request(workload, weights, self.variant, 0, True, dropout)
        self.program = ours.prepare(request)

    def place(self, x: Any, y: Any) -> tuple[Any, ...]:
        return self.program.place(x, y)

    def step(self, x: Any, y: Any) -> Any:
        return self.program.run(x, y)

    def step_from_host(self, x: Any, y: Any) -> Any:
        """The backend copies large arrays through two pinned buffers, on a stream for that."""
        return self.step(*self.place(x, y))

    def read(self, loss: Any) -> float:
        return float(loss.item())

    def clock(self) -> Callable[[], float]:
        made: Callable[[], float] = self.backend.clock()
        return made

    def held(self) -> int | None:
        """Bytes that the pool has taken from the GPU, the most since it was freed."""
        return int(self.backend.xp.get_default_memory_pool().total_bytes()) if self.cuda else None

    def free(self) -> None:
        """Give back to the GPU what nobody uses."""
        self.backend.synchronize()
        if self.cuda:
            self.backend.xp.get_default_memory_pool().free_all_blocks()

    def settings(self) -> dict[str, Any]:
        return {"precision": tg.config.current().precision.value}

    def figures(self) -> dict[str, Any]:
        """Of a compiled step: what its plan moves, and the nodes of its CUDA graphs."""
        plan = getattr(self.program.run, "plan", None)
        if plan is None:
            return {}
        tasks = plan.runner.planner.tasks
        moved = sum(sum(of_task(task, plan.runner)) for task in tasks)
        return {"bytes": moved, "tasks": len(tasks), "kernels": nodes(plan.runner)}


def nodes(runner: Any) -> int | None:
    """How many nodes the CUDA graphs of a plan have; None where they are no CUDA graphs."""
    total = 0
    for part in runner.parts or ():
        kept = inspect.getclosurevars(part).nonlocals if inspect.isfunction(part) else {}
        graph = getattr(kept.get("graph"), "graph", None)
        if graph is None:
            return None
        count = ctypes.c_size_t()
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuGraphGetNodes(ctypes.c_void_p(graph), None, ctypes.byref(count)):
            return None
        total += count.value
    return total


def copy_speed(backend: Any, smallest: bool) -> float:
    """Bytes a second of a large copy on the device, at best, be it CUDA's or our own: what is read
    and what is written both count."""
    size, device = COPIED >> 9 if smallest else COPIED, backend.device
    source, target = device.allocate(size), device.allocate(size)
    sides = [Flat(held.address, "float32", (1,)) for held in (source, target)]
    ways: list[Callable[[], object]] = [
        lambda: device.copy(target.address, source.address, size),
        lambda: copy(device, (size // 4,), *sides),
    ]
    times: list[float] = []
    for way in ways * READINGS:
        way()
        clock = backend.clock()
        start = clock()
        for _ in range(COPIES):  # before the first of them the GPU waits for the host
            way()
        times.append((clock() - start) / COPIES)
    return 2 * size / max(min(times), 1e-9)
