"""Takes the time of calls: in batches that a clock can tell apart, on the device's own clock where
the backend has one.

A backend may offer ``clock()``: it returns a function without arguments, which waits for all that
was launched before and returns the seconds on the device's clock, as CUDA events do. Its attribute
``device`` names the device. Without it a reading is ``synchronize()`` and the clock of the host. So
a batch of launches is waited for once, at its end.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tensorgraph import Backend

Clock = Callable[[], float]
SHORTEST = 1e-3  # seconds of a batch: more would be disturbed more often
TURNS = 8  # of which a time is the median, fewer where they take longer than
PATIENCE = 10  # times as long as they should
MOST = 1 << 20  # calls in a batch


def clock_of(backend: Backend) -> Clock:
    """What reads the seconds of a backend, from any beginning on."""
    offered: Callable[[], Clock] | None = getattr(backend, "clock", None)
    if offered is not None:
        return offered()

    def now() -> float:
        backend.synchronize()
        return time.perf_counter()

    return now


class Pace(NamedTuple):
    """How a case is timed: calls in a batch, and the batches of a turn."""

    calls: int
    batches: int


def batch(call: Callable[[], Any], now: Clock, calls: int) -> float:
    """The seconds that so many calls take, waited for once."""
    numbers = range(calls)
    start = now()
    for _ in numbers:
        call()
    return now() - start


def pace(call: Callable[[], Any], now: Clock, seconds: float) -> Pace:
    """Warm up, and find out how many calls make a batch and how many batches fill ``seconds``."""
    batch(call, now, 1)
    calls, took = 1, _undisturbed(call, now, 1)
    while took < SHORTEST and calls < MOST:
        wanted = calls * SHORTEST / max(took, SHORTEST / 100)
        calls = min(MOST, max(2 * calls, math.ceil(1.1 * wanted)))
        took = _undisturbed(call, now, calls)
    return Pace(calls, max(1, min(50, int(seconds / took))))


def _undisturbed(call: Callable[[], Any], now: Clock, calls: int) -> float:
    """The seconds of the fastest of a few batches, or of one that takes long."""
    fastest = batch(call, now, calls)
    for _ in range(4):
        if fastest > 20 * SHORTEST:
            break
        fastest = min(fastest, batch(call, now, calls))
    return fastest


def turn(call: Callable[[], Any], now: Clock, given: Pace) -> float:
    """The seconds of a call in the fastest of some batches: what disturbs one only adds to it
    (Chen and Revels, Robust benchmarking in noisy environments, 2016)."""
    with _no_collection():
        return min(batch(call, now, given.calls) for _ in range(given.batches)) / given.calls


def turns(call: Callable[[], Any], now: Clock, seconds: float) -> list[float]:
    """The seconds of a call in several turns, which take about ``seconds`` together."""
    given = pace(call, now, seconds / TURNS)
    end = time.monotonic() + PATIENCE * seconds
    found = [turn(call, now, given)]
    while len(found) < TURNS and time.monotonic() < end:
        found.append(turn(call, now, given))
    return found


@contextmanager
def _no_collection() -> Iterator[None]:
    """Within the block no garbage is looked for."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
