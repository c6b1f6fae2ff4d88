"""One library in a process of its own: it answers requests, a line of JSON each, on its pipes.

    python -m bench.compare.worker --library MODULE --option NAME --threads N

The first line that it writes says how long the import took, or why the library cannot be used.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.compare import drawn
from bench.compare.program import Images, Program, Request, Unavailable
from bench.compare.workloads import load_problem

SHOWN = 16  # outputs of inference that are compared
TICKS = os.sysconf("SC_CLK_TCK")


def peak_kib() -> int | None:
    """The most memory that this process has had, which Linux tells."""
    status = Path("/proc/self/status")
    lines = status.read_text("ascii", "replace").splitlines() if status.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def busy_seconds() -> float:
    """Processor time of everything on this machine, which Linux tells; else 0."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    ticks = [int(word) for word in path.read_text("ascii").split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS  # without idle and waiting for a disk


def die_with_parent() -> None:
    """A worker that is stopped cannot notice that its driver was killed; the kernel can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Session:
    """A library, and the workload that it was last asked to prepare."""

    def __init__(self, library: Any, option: str, threads: int) -> None:
        self.library, self.option, self.threads = library, option, threads
        self.program: Program | None = None
        self.inputs: list[tuple[Any, ...]] = []
        self.steps_done = 0

    def prepare(
        self, workload: str, problem: str, train: bool, dropout: bool = True
    ) -> dict[str, Any]:
        """Build the workload from the weights of a file; its batches are taken in turn."""
        x, y, weights = load_problem(problem)
        start = time.perf_counter()
        request = Request(
            drawn.workload(workload), weights, self.option, self.threads, train, dropout
        )
        self.program = program = self.library.prepare(request)
        self.inputs = [program.place(*batch) for batch in zip(x, y, strict=True)]
        self.steps_done = 0
        return {"seconds": time.perf_counter() - start}

    def step(self) -> Any:
        assert self.program is not None
        inputs = self.inputs[self.steps_done % len(self.inputs)]
        self.steps_done += 1
        return self.program.read(self.program.run(*inputs))

    def steps(self, seconds: float, least: int, warm: float = 0.0) -> dict[str, Any]:
        """Steps for ``seconds``, at least so many; before them, some for ``warm`` seconds that do
        not count. The median time, the first results, and what others used of the processors."""
        until = time.perf_counter() + warm
        while time.perf_counter() < until:
            self.step()
        times: list[float] = []
        values: list[Any] = []
        others = Others()
        end = time.perf_counter() + seconds
        while len(times) < least or time.perf_counter() < end:
            start = time.perf_counter()
            value = self.step()
            times.append(time.perf_counter() - start)
            if len(values) < least:
                values.append(value)
        return {
            "seconds": statistics.median(times),
            "steps": len(times),
            "values": [np.ravel(value)[:SHOWN].tolist() for value in values],
            "last": times[-1],
            "others": others.cores(),
        }

    def epoch(
        self, images: str, batch: int, number: int, batches: int | None = None
    ) -> dict[str, Any]:
        """Train on the images of a file in an order of this number's own; with ``batches``, on so
        many, of which one is the short one at the end."""
        assert self.program is not None
        if not hasattr(self, "draw"):
            with np.load(images) as file:
                found = {name: file[name] for name in file.files}
            source = Images(found["pixels"], found["labels"], *found["statistics"].tolist())
            self.count, self.draw = len(source.labels), self.program.feed(source)
        others, losses = Others(), []
        start = time.perf_counter()
        order = np.random.default_rng(number).permutation(self.count)
        starts = list(range(0, self.count, batch))
        for i in starts if batches is None else [*starts[: batches - 1], starts[-1]]:
            inputs = self.draw(order[i : i + batch])
            losses.append(self.program.read(self.program.run(*inputs)))
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "steps": len(losses),
            "values": [[statistics.fmean(losses)]],
            "of": len(starts),
            "others": others.cores(),
        }


class Others:
    """How many processors everybody else kept busy since this was made."""

    def __init__(self) -> None:
        self.before = self._now()

    def _now(self) -> tuple[float, float, float]:
        return busy_seconds(), time.process_time(), time.perf_counter()

    def cores(self) -> float:
        busy, own, passed = (now - then for now, then in zip(self._now(), self.before))
        return max(0.0, busy - own) / passed if passed > 0.1 else 0.0


def load(library: str, option: str) -> Any:
    """The library's module, if the variant can be used here; else ``Unavailable``."""
    try:
        module = importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed") from error
    module.check(option)
    return module


def answered(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns, or why there is nothing, and the memory that was needed."""
    try:
        answer = work()
    except Unavailable as error:
        answer = {"missing": str(error)}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0] + f" ({where})"}
    return {**answer, "peak_kib": peak_kib()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--option", default="")
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    die_with_parent()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer

    def reply(answer: dict[str, Any]) -> None:
        replies.write(json.dumps(answer) + "\n")
        replies.flush()

    start = time.perf_counter()
    session: Session | None = None

    def begin() -> dict[str, Any]:
        nonlocal session
        session = Session(load(given.library, given.option), given.option, given.threads)
        return {"seconds": time.perf_counter() - start}

    reply(answered(begin))
    for line in sys.stdin:
        request = json.loads(line)
        method = getattr(session, request.pop("do"))
        reply(answered(lambda method=method, request=request: method(**request)))  # type: ignore[misc]


if __name__ == "__main__":
    main()
