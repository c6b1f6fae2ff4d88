"""Conformance on the GPU: every check in one of several processes, and the repository's own tests
of a backend. A row for each failure, and counts."""

from __future__ import annotations

import collections
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.cuda.process import ROOT, Part, Row, ended, note
from bench.cuda.setting import Setting

WORKERS = 12  # at most: NVRTC compiles on the processors, and each process has memory on the GPU
TESTS = 0.4  # of the time is for the repository's tests at least
RESTART = 3  # the exit status of a worker whose GPU answers nothing but an error any more
FRAMES = 5  # of a traceback that are told
PATIENCE = 45.0  # seconds that a check may take
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TENSORGRAPH_NUM_THREADS")  # of a worker
SETTING = "TENSORGRAPH_BENCH_SETTING"
BACKEND = re.compile(r"^def test\w*\([^)]*\bbackend\b", re.M)


def run(setting: Setting, note: Callable[[Row], None]) -> None:
    seed = random.SystemRandom().getrandbits(32)
    note({"seed": seed})
    counts: collections.Counter[str] = collections.Counter()

    def counted(row: Row) -> None:
        counts.update(key for key in ("failed", "left_out") if key in row)
        note(row)

    with tempfile.TemporaryDirectory() as folder:
        until = time.monotonic() + setting.left() * (1 - TESTS)
        Checking(setting, counted, seed, Path(folder)).run(until)
        run_tests(setting, counted, Path(folder))
    right = None if counts["left_out"] and not counts["failed"] else not counts["failed"]
    claim = "no check fails and none is left out"
    note({"verdict": "conformance", "claim": claim, "reached": right})


class Worker:
    """A process that goes through some of the checks, and the one that it is at."""

    def __init__(self, part: Part, step: int) -> None:
        self.part, self.step = part, step
        self.at: int | None = None
        self.name = "a process of the checks"
        self.since = time.monotonic()

    def begin(self, row: Row) -> None:
        self.at, self.name, self.since = row["begun"], row["name"], time.monotonic()

    def stuck(self) -> str:
        """What is wrong with it, where that is its time."""
        late = self.at is not None and time.monotonic() - self.since > PATIENCE
        return f"not done after {PATIENCE:.0f} s" if late else ""


class Checking:
    """All checks, shared among processes that take every so many-th. One that a check ends, or
    that does not come back from it, is started again after that check."""

    def __init__(
        self, setting: Setting, note: Callable[[Row], None], seed: int, folder: Path
    ) -> None:
        self.setting, self.note, self.seed, self.folder = setting, note, seed, folder
        self.counts: dict[str, Row] = {}
        self.count = 0  # of checks there are
        self.done: set[int] = set()

    def run(self, until: float) -> None:
        count = 1 if self.setting.emulated else workers()
        running = [self._start(i, count) for i in range(count)]
        try:
            while running and time.monotonic() < until:
                running = [now for worker in running if (now := self._watched(worker)) is not None]
                time.sleep(0.05)
        finally:
            for worker in running:
                worker.part.stop()
                self._take(worker)
        for row in self.counts.values():
            self.note(row)
        left = self.count - len(self.done)
        if left:
            self.note({"left_out": f"{left} of {self.count} checks: their time was over"})

    def _start(self, first: int, step: int) -> Worker:
        words = ["bench.cuda.conformance", *map(str, (first, step, self.seed))]
        given = {SETTING: self.setting.text(), **dict.fromkeys(THREADS, "1")}
        part = Part(words, self.folder / str(first), alone=False, environment=given)
        return Worker(part, step)

    def _watched(self, worker: Worker) -> Worker | None:
        """Take what a worker has found: the worker, the one that goes on in its place, or none."""
        status = worker.part.process.poll()
        self._take(worker)
        stuck = worker.stuck()
        if status is None and not stuck:
            return worker
        worker.part.stop()
        if status == 0:
            return None
        if status != RESTART:
            why = stuck or f"its process {ended(status or 0)}"
            self._failed(worker.name, f"{why}{worker.part.said()}")
            if worker.at is None or worker.at in self.done:
                return None  # no check is to blame, and the next process would end as well
            self.done.add(worker.at)
        return self._start((worker.at or 0) + worker.step, worker.step)

    def _take(self, worker: Worker) -> None:
        for row in worker.part.rows():
            if "begun" in row:
                worker.begin(row)
                self.count = row["of"]
            else:
                self._count(row)

    def _count(self, row: Row) -> None:
        self.done.add(row["ended"])
        for what, error, allowed, why in row["found"]:
            count = self.counts.setdefault(what, {"checked": what, "count": 0, "failures": 0})
            count["count"] += 1
            failed = not error <= allowed
            count["failures"] += failed
            if allowed and error >= count.get("worst", 0.0):
                count |= {"worst": error, "in": row["name"]}
            if failed:
                distance = {"error": error, "allowed": allowed} if allowed else {}
                self._failed(f"{row['name']}: {what}", why, **distance)
        if row["why"]:
            self._failed(row["name"], row["why"])

    def _failed(self, name: str, why: str, **more: Any) -> None:
        self.note({"failed": name, **more, **({"why": why} if why else {})})


def run_tests(setting: Setting, note: Callable[[Row], None], folder: Path) -> None:
    """The repository's tests that take a backend, on this one: failures by name."""
    if find_spec("pytest") is None:
        note({"left_out": "the repository's tests: the package pytest is not installed"})
        return
    words = ["pytest", "-p", "bench.cuda.reported", "-p", "no:cacheprovider", "-W", "default"]
    words += ["tests/test_shapes.py"] if setting.small else taking_a_backend()
    if not setting.emulated and find_spec("xdist") is not None:
        words += ["-n", str(workers())]
    counts: collections.Counter[str] = collections.Counter()

    def take(rows: list[Row]) -> None:
        for row in rows:
            counts[row["outcome"]] += 1
            if row["outcome"] == "failed":
                note({"failed": row["test"], "why": row["why"]})

    given = {SETTING: setting.text()}
    part = Part([*words, "-k", "[cupy"], folder / "tests", alone=False, environment=given)
    failed = part.follow(setting.deadline, take)
    row = {"checked": "the repository's tests of backend cupy", "count": sum(counts.values())}
    note({**row, "failures": counts["failed"], "skipped": counts["skipped"]})
    if failed and not counts["failed"]:  # pytest itself: else its status says what is listed
        note({"failed": "the repository's tests", "why": failed})
    elif failed.startswith("cut"):
        note({"left_out": "the repository's other tests: their time was over"})


def taking_a_backend() -> list[str]:
    """The files with such tests: to look through the others takes seconds."""
    paths = sorted((ROOT / "tests").glob("test_*.py"))
    return [str(path) for path in paths if BACKEND.search(path.read_text("utf-8"))]


def workers() -> int:
    return min(WORKERS, max(1, len(os.sched_getaffinity(0)) * 3 // 4))


def work(first: int, step: int, seed: int) -> None:
    """A worker: every ``step``-th check, the begin and the end of each noted."""
    import numpy as np

    setting = Setting.read(os.environ[SETTING])
    backend = setting.backend()
    from bench.cuda.checks import checks

    every = checks(small=setting.small)
    for i in range(first, len(every), step):
        name, check = every[i]
        note({"begun": i, "name": name, "of": len(every)})
        found: list[Any] = []
        why = ""
        try:
            for one in check(np.random.default_rng([seed, i])):
                found.append(one)
            backend.synchronize()  # what was launched may fail only now
        except Exception as error:
            why = "".join(traceback.format_exception(error)[-FRAMES:])
        note({"ended": i, "name": name, "found": found, "why": why})
        if why and not answers(backend):
            sys.exit(RESTART)


def answers(backend: Any) -> bool:
    """Whether the GPU still works: after an illegal address it refuses everything."""
    try:
        backend.synchronize()
        return bool(backend.to_host(backend.asarray([1.0], "float32"))[0] == 1.0)
    except Exception:
        return False


if __name__ == "__main__":
    work(*map(int, sys.argv[1:]))
