"""What the machine does at best, measured once in a process: products of matrices, and copies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from tensorgraph import Backend, config
from tensorgraph_bench import clock
from tensorgraph_bench.machine import threads

SIDES = (256, 512, 1024, 2048, 4096)  # of the matrices that are multiplied
CACHED, LARGEST = 1 << 18, 1 << 27  # bytes that are copied between two halves of
SECONDS = 0.1  # of each measurement
LONGEST = 0.05  # seconds of a product after which no larger one is tried


class Limits(NamedTuple):
    """Of a backend in one dtype: operations in a second, and bytes by how many are in use."""

    flops: float
    bandwidths: dict[int, float]

    def seconds(self, flops: float, moved: float) -> float:
        """What so many operations on so many bytes take at best."""
        return max(flops / self.flops, moved / self.bandwidths[size_class(moved)])


def size_class(moved: float) -> int:
    """The size, of those whose copies are measured, that so many bytes count as: how fast they are
    moved depends on the cache that they fit in."""
    return next((size for size in sizes() if size >= moved), LARGEST)


def sizes() -> list[int]:
    return [1 << i for i in range(CACHED.bit_length() - 1, LARGEST.bit_length(), 3)]


@functools.cache
def limits(name: str, dtype: str) -> Limits:
    """Of the backend of that name."""
    return Limits(_flops(config.get_backend(name), dtype), _bandwidths(name))


@functools.cache
def _bandwidths(name: str) -> dict[int, float]:
    return {size: _copied(config.get_backend(name), size) for size in sizes()}


def _flops(backend: Backend, dtype: str) -> float:
    """Operations in a second of products, one on each thread: a BLAS that shares one product out is
    slowed down more by what else the machine does."""
    xp, best = backend.xp, 0.0
    for side in SIDES:
        shared = _shared(backend)
        squares = [[xp.ones((side, side), dtype) for _ in range(3)] for _ in range(shared)]
        with threadpool_limits(1, "blas"):
            took = _seconds(backend, lambda x: xp.matmul(x[0], x[1], out=x[2]), squares)
        best = max(best, 2 * side**3 * shared / took)
        if took > LONGEST:
            break
    return best


def _copied(backend: Backend, size: int) -> float:
    """Bytes read and written in a second."""
    xp, shared = backend.xp, _shared(backend)
    halves = max(1, size // 2 // shared)
    pairs = [(xp.ones(halves, "uint8"), xp.ones(halves, "uint8")) for _ in range(shared)]
    times = max(1, LARGEST // 8 // size)  # so that starting the threads does not count

    def copies(pair: tuple[Any, Any]) -> None:
        source, target = pair
        for _ in range(times):
            xp.copyto(target, source)

    return 2 * halves * shared * times / _seconds(backend, copies, pairs)


def _shared(backend: Backend) -> int:
    """Among how many threads work is shared: as kernels share it on the host; a device shares the
    work of one call out by itself."""
    return 1 if hasattr(backend, "clock") else threads()


def _seconds(backend: Backend, work: Callable[[Any], object], values: Sequence[Any]) -> float:
    """How long the calls of ``work`` with each of the values take, in a thread each."""
    now = clock.clock_of(backend)
    with _threads(len(values)) as run:
        all_of_them = functools.partial(run, work, values)
        return clock.turn(all_of_them, now, clock.pace(all_of_them, now, SECONDS))


@contextmanager
def _threads(count: int) -> Iterator[Callable[[Callable[[Any], object], Sequence[Any]], object]]:
    """Yields what calls a function with each of some values, in so many threads."""
    if count == 1:
        yield lambda function, values: [function(x) for x in values]
        return
    with ThreadPoolExecutor(count) as pool:
        yield lambda function, values: list(pool.map(function, values))
