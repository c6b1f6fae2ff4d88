"""Which of a library's ways to do something is fastest here: measured once, remembered on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "TENSORGRAPH_AUTOTUNE"  # "1": a compiled step's first run measures what is not known
ROUNDS, RUNS = 5, 20  # a way's time is the median of so many readings, each of so many runs
READING = 2e-3  # seconds; of what takes longer there are fewer runs


def wanted() -> bool:
    return os.environ.get(VARIABLE, "") not in ("", "0")


class Choices:
    """The numbers of the ways that were fastest, by problem: a file for each model of GPU and
    version of the library, since neither's numbers mean anything to the other."""

    def __init__(self, device: Any, library: str, version: int) -> None:
        self.device = device
        self.of = {"library": library, "version": version}
        self._known: dict[str, int] | None = None

    def get(self, problem: Any) -> int | None:
        return self._read().get(repr(problem))

    def put(self, problem: Any, choice: int) -> None:
        self._known = {**self._read(anew=True), repr(problem): choice}
        path = self._path()
        with contextlib.suppress(OSError):  # a disk that is full or read-only: measured again
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path.with_suffix(f".{os.getpid()}")
            written.write_text(json.dumps({**self._key(), "choices": self._known}, indent=1))
            written.replace(path)  # several processes may be at it

    def _read(self, *, anew: bool = False) -> dict[str, int]:
        if self._known is None or anew:  # another process, or stream, may have put some there
            self._known = self._known or {}
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                held = json.loads(self._path().read_text("utf-8"))
                self._known |= {str(k): int(v) for k, v in held["choices"].items()}
        return self._known

    def _key(self) -> dict[str, Any]:
        return {**self.of, "device": self.device.name}

    def _path(self) -> Path:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        name = hashlib.sha256(json.dumps(self._key()).encode()).hexdigest()[:16]
        return Path(caches, "tensorgraph", "cuda", f"{name}.json")


def fastest(device: Any, ways: Sequence[Callable[[], None]]) -> int:
    """The number of the way that takes the least time. They take turns, after a run of each."""
    for way in ways:
        way()
    device.synchronize()
    start = time.perf_counter()
    ways[0]()
    device.synchronize()
    once = max(time.perf_counter() - start, READING / RUNS)
    runs = max(1, round(READING / once))
    readings: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, seconds in zip(ways, readings):
            device.synchronize()
            start = time.perf_counter()
            for _ in range(runs):
                way()
            device.synchronize()
            seconds.append(time.perf_counter() - start)
    times = [statistics.median(seconds) for seconds in readings]
    return times.index(min(times))
