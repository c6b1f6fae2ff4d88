"""Where the time of a run on NumPy goes, and what the machine could do in it."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.program import Limits
from tensorgraph_numpy.plan.steps import Ready, Step
from tensorgraph_numpy.threads import POOL

CACHED = 1 << 18  # bytes that each thread copies between halves of, in its cache
SIDE = 384  # of the matrices that are multiplied
SECONDS = 0.03  # of each of the three measurements


class Parts(NamedTuple):
    """Steps that run one after the other, and how many threads have such at the same time."""

    ready: Ready
    threads: int


def timings(
    parts: Sequence[Parts], owner: Mapping[int, int], replay: Callable[[], object], times: int
) -> tuple[list[float], list[dict[int | str, float]], dict[int, Counter[str]]]:
    """Call ``replay``, which runs these steps, so many times, and once before; the seconds of each
    run, of the tasks in it, and their kernels. ``owner``: slots that steps write → tasks."""
    log: list[tuple[int, float]] = []  # appended to by all threads

    def timed(step: Step, share: float) -> Step:
        run, task = step.run, owner[step.out]

        def work(*arrays: Any) -> Any:
            start = time.perf_counter()
            made = run(*arrays)
            log.append((task, (time.perf_counter() - start) * share))
            return made

        return step._replace(run=work)

    kernels: dict[int, Counter[str]] = {}
    for step in (step for part in parts for step in part.ready.steps):
        kernels.setdefault(owner[step.out], Counter())[_name(step.run)] += 1
    kept = [part.ready.steps for part in parts]
    runs: list[float] = []
    spent: list[dict[int | str, float]] = []
    try:
        for part in parts:
            part.ready.steps = [timed(step, 1 / part.threads) for step in part.ready.steps]
        replay()
        for _ in range(times):
            log.clear()
            start = time.perf_counter()
            replay()
            runs.append(time.perf_counter() - start)
            spent.append({})
            for task, seconds in log:
                spent[-1][task] = spent[-1].get(task, 0.0) + seconds
    finally:
        for part, steps in zip(parts, kept, strict=True):
            part.ready.steps = steps
    return runs, spent, kernels


def _name(run: Any) -> str:
    """What a kernel is called: a function of NumPy's or of a kernel module."""
    run = getattr(run, "func", run)
    name = getattr(run, "__name__", "")
    return name if name.isidentifier() and name != "_" else "portable"


@functools.cache
def limits(threads: int, dtype: str, size: int) -> Limits:
    """What so many threads do at best, all at the same time: products of matrices by BLAS, copies
    within a core's cache and within ``size`` bytes (those read and those written both count)."""
    matrices = [np.ones((3, SIDE, SIDE), dtype) for _ in range(threads)]
    products = [functools.partial(np.matmul, x, y, out=out) for x, y, out in matrices]

    def copies(size: int) -> list[Callable[[], object]]:
        count = size // 2 // np.dtype(dtype).itemsize
        arrays = [np.ones((2, count), dtype) for _ in range(threads)]
        return [functools.partial(np.copyto, out, x) for out, x in arrays]

    return Limits(
        flops=2 * SIDE**3 * threads / _best(products),
        cache=CACHED * threads / _best(copies(CACHED)),
        memory=size / _best(copies(size // threads)),
    )


def _best(functions: Sequence[Callable[[], object]]) -> float:
    """The seconds that a call of each takes, all of them beside each other, when it goes well."""
    found: list[float] = []  # of each thread

    def work(function: Callable[[], object]) -> None:
        end = time.perf_counter() + SECONDS
        best: list[float] = []
        function()
        while (start := time.perf_counter()) < end or not best:
            function()
            best.append(time.perf_counter() - start)
        found.append(min(best))

    POOL.run([functools.partial(work, function) for function in functions])
    return sum(found) / len(found)
