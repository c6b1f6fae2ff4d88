"""Where the time of a run on NumPy goes, and what the machine could do in it."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorgraph.program import Limits
from tensorgraph_numpy.threads import POOL

CACHED, LARGE = 1 << 17, 1 << 25  # bytes of the arrays that are copied, for each thread
SIDE = 384  # of the matrices that are multiplied
SECONDS = 0.03  # of each of the three measurements


def average(runs: Sequence[float], parts: Sequence[Mapping[Any, float]]) -> tuple[float, Any]:
    """The seconds of a run and of its parts, on average over the half of the runs whose times lie
    in the middle: parts add up as they do in each run, and what came in between does not count."""
    order = sorted(range(len(runs)), key=runs.__getitem__)
    quarter = len(order) // 4
    middle = order[quarter : len(order) - quarter]
    total: Counter[Any] = Counter()
    for i in middle:
        for key, seconds in parts[i].items():
            total[key] += seconds / len(middle)
    return sum(runs[i] for i in middle) / len(middle), total


@functools.cache
def limits(threads: int, dtype: str) -> Limits:
    """What so many threads do at best, all at the same time: products of matrices by BLAS, copies
    in the cache and in memory (bytes read and bytes written both count). Measured once."""
    matrices = [np.ones((3, SIDE, SIDE), dtype) for _ in range(threads)]
    products = [functools.partial(np.matmul, x, y, out=out) for x, y, out in matrices]

    def copies(size: int) -> list[Callable[[], object]]:
        arrays = [np.ones((2, size // np.dtype(dtype).itemsize), dtype) for _ in range(threads)]
        return [functools.partial(np.copyto, out, x) for out, x in arrays]

    return Limits(
        flops=2 * SIDE**3 * threads / _best(products),
        cache=2 * CACHED * threads / _best(copies(CACHED)),
        memory=2 * LARGE * threads / _best(copies(LARGE)),
    )


def _best(functions: Sequence[Callable[[], object]]) -> float:
    """The seconds that a call of each takes, all of them beside each other, when it goes well."""
    found: list[float] = []

    def work(function: Callable[[], object]) -> None:
        end = time.perf_counter() + SECONDS
        best = []
        function()
        while (start := time.perf_counter()) < end or not best:
            function()
            best.append(time.perf_counter() - start)
        found.append(sorted(best)[len(best) // 10])

    POOL.run([functools.partial(work, function) for function in functions])
    return sum(found) / len(found)
