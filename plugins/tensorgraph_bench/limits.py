"""What the machine does at best, measured once in a process: products of matrices, and copies."""

from __future__ import annotations

import functools
import itertools
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
PIECE = 1 << 18  # bytes that are copied at once
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
    """What larger memory allows, smaller does too."""
    backend, found, best = config.get_backend(name), {}, 0.0
    for size in reversed(sizes()):
        found[size] = best = max(best, _copied(backend, size))
    return dict(sorted(found.items()))


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
    """Bytes read and written in a second, piece after piece of memory of that size: on the host a
    call takes less than a millisecond, and is not disturbed each time."""
    xp, shared = backend.xp, _shared(backend)
    half = size // 2 // shared
    piece = half if hasattr(backend, "clock") else min(half, PIECE)
    times = max(1, 4 * PIECE // piece)  # so that starting the threads does not count

    def pieces() -> Iterator[tuple[Any, Any]]:
        source, target = xp.ones(half, "uint8"), xp.ones(half, "uint8")
        starts = range(0, half - piece + 1, piece)
        return itertools.cycle([(target[i : i + piece], source[i : i + piece]) for i in starts])

    def copies(memory: Iterator[tuple[Any, Any]]) -> None:
        for target, source in itertools.islice(memory, times):
            xp.copyto(target, source)

    memories = [pieces() for _ in range(shared)]
    return 2 * piece * shared * times / _seconds(backend, copies, memories)


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
