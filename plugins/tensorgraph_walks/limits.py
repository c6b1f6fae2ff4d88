"""What a backend's array library does at best, measured once, in 0.1 to 0.2 s."""

from __future__ import annotations

import time
from collections.abc import Callable

from tensorgraph.backend import Backend
from tensorgraph.program import Limits

CACHED = 1 << 18  # bytes that are copied between halves of, in the cache
SIDE = 384  # of the matrices that are multiplied
SECONDS = 0.03  # of each measurement
ITEMSIZE = {"float32": 4, "float64": 8}


_found: dict[tuple[str, str, int], Limits] = {}


def limits(backend: Backend, dtype: str, size: int) -> Limits:
    """Products of matrices, and copies within a cache and within ``size`` bytes (those read and
    those written both count), with as many threads as the library takes for them."""
    key = (backend.name, dtype, size)
    if key not in _found:
        _found[key] = _measured(backend, dtype, size)
    return _found[key]


def _measured(backend: Backend, dtype: str, size: int) -> Limits:
    xp = backend.xp
    of = getattr(xp, dtype)
    x, y = (xp.ones((SIDE, SIDE), dtype=of) for _ in range(2))

    def copies(size: int) -> float:
        source, target = (xp.ones(size // 2 // ITEMSIZE[dtype], dtype=of) for _ in range(2))
        return size / _best(lambda: target.__setitem__(..., source), backend)

    flops = 2 * SIDE**3 / _best(lambda: xp.matmul(x, y), backend)
    return Limits(flops, copies(CACHED), copies(size))


def _best(function: Callable[[], object], backend: Backend) -> float:
    """The seconds that a call takes when it goes well."""
    found: list[float] = []
    function()
    end = time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end or not found:
        function()
        backend.synchronize()
        found.append(time.perf_counter() - start)
    return min(found)
