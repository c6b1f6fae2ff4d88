"""What a backend's array library does at best, measured once in some 100 ms."""

from __future__ import annotations

import time
from collections.abc import Callable

from tensorgraph.backend import Backend
from tensorgraph.program import Limits

CACHED, LARGE = 1 << 17, 1 << 25  # bytes of the arrays that are copied
SIDE = 384  # of the matrices that are multiplied
SECONDS = 0.03  # of each measurement
ITEMSIZE = {"float32": 4, "float64": 8}


_found: dict[tuple[str, str], Limits] = {}


def limits(backend: Backend, dtype: str) -> Limits:
    """Products of matrices and copies, with as many threads as the library takes for them; bytes
    that are read and bytes that are written both count."""
    key = (backend.name, dtype)
    if key not in _found:
        _found[key] = _measured(backend, dtype)
    return _found[key]


def _measured(backend: Backend, dtype: str) -> Limits:
    xp = backend.xp
    x, y, out = (xp.ones((SIDE, SIDE), dtype) for _ in range(3))

    def copies(size: int) -> float:
        source, target = (xp.ones(size // ITEMSIZE[dtype], dtype) for _ in range(2))
        return 2 * size / _best(lambda: xp.copyto(target, source), backend)

    flops = 2 * SIDE**3 / _best(lambda: xp.matmul(x, y, out=out), backend)
    return Limits(flops, copies(CACHED), copies(LARGE))


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
