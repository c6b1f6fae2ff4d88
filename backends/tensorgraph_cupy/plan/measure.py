"""Where the time of a step on the GPU goes, and what the GPU could do in it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tensorgraph.program import Limits, Timings

SIDE = 4096  # of the matrices that are multiplied
CACHED = 8 << 20  # bytes that lie in the second-level cache
RUNS = 10


def timings(plan: Any, replay: Callable[[], object], times: int) -> Timings:
    """The seconds of whole replays, and of each task launched by itself after a replay, by the
    device's clock: launches have gaps between them that a graph does not have."""
    tasks = plan.planner.tasks
    kept = [(tensor, tensor.data) for tensor in plan.program.assigned]
    runs: list[float] = []
    spent: list[dict[int | str, float]] = []
    try:
        replay()
        replay()  # the first one may have been that before the capture
        clock = plan.backend.clock()
        for _ in range(times):
            start = clock()
            replay()
            runs.append(clock() - start)
            spent.append({})
            for i, task in enumerate(tasks):
                start = clock()
                plan.launch(task)
                spent[-1][i] = clock() - start
    finally:
        for tensor, data in kept:
            tensor.data = data
    return Timings(runs, spent, {i: {task.name: 1} for i, task in enumerate(tasks)})


@functools.cache
def limits(backend: Any, dtype: str, size: int) -> Limits:
    """Products of large matrices by the library that the backend uses, and copies (what is read
    and what is written both count) within the cache and of ``size`` bytes."""
    xp, device = backend.xp, backend.device
    x, y = (xp.ones((SIDE, SIDE), dtype) for _ in range(2))
    product = next((k.run for k in backend.kernels if k.op == "matmul"), xp.matmul)

    def copies(count: int) -> float:
        source, target = (device.allocate(max(1, count // 2)) for _ in range(2))
        half = count // 2
        return count / _best(backend, lambda: device.copy(target.address, source.address, half))

    flops = 2 * SIDE**3 / _best(backend, lambda: product(x, y))
    return Limits(flops, copies(CACHED), copies(max(size, 2)))


def _best(backend: Any, work: Callable[[], object]) -> float:
    """The seconds that a call takes when it goes well."""
    work()
    clock = backend.clock()
    found: list[float] = []
    for _ in range(RUNS):
        start = clock()
        work()
        found.append(clock() - start)
    return max(min(found), 1e-9)
