"""Training steps beside PyTorch's: the same weights, the same batches, losses that must agree.

The jobs are done one after the other by a process of its own, which knows both libraries, so that
both use the same cuDNN and cuBLAS. Where it fails, or a job takes too long, another process goes on
with the next job: starting one for each would take half of the time.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.compare.workloads import Dropout, Workload, batches
from bench.cuda import workloads
from bench.cuda.ours import Ours, copy_speed
from bench.cuda.process import Part, Row, note
from bench.cuda.pytorch import PyTorch
from bench.cuda.rows import Entry, judged, row_of, verdicts
from bench.cuda.sections import SETTING
from bench.cuda.setting import Setting
from bench.cuda.workloads import ALLOWED, EAGER, Job, jobs, named

NAMES = "TENSORGRAPH_BENCH_JOBS"
CHECKED = 4  # steps whose losses are compared
REFERENCE = "eager"  # PyTorch's variant whose losses in float32 are what others are held to
ROUNDS, STEPS, LONGEST, SHORTEST = 5, 50, 0.5, 0.1  # a turn: so many steps or seconds
PATIENCE = 120.0  # seconds that a job may take
ROOM = 10.0  # seconds that have to be left for another job
ENDING = 3.0  # seconds for the rows of a job, after its last round
Contender = Ours | PyTorch


def run(setting: Setting, note: Callable[[Row], None]) -> None:
    """Do all jobs that fit into the time; what is left out is said."""
    rows: list[Row] = []
    waiting = [job.name for job in jobs(setting.emulated or setting.small)]
    begun: list[str] = []

    def take(found: Sequence[Row]) -> None:
        for row in found:
            if "begun" in row:
                begun.append(row["begun"])
                waiting.remove(row["begun"])
            else:
                rows.append(row)
                note(row)

    with tempfile.TemporaryDirectory() as folder:
        for number in range(len(waiting)):
            if not waiting or setting.left() < ROOM:
                break
            words = {SETTING: setting.text(), NAMES: "\n".join(waiting)}
            here, count = Path(folder, str(number)), len(waiting)
            part = Part(["bench.cuda.training"], here, alone=False, environment=words)
            failed, name = part.follow(setting.deadline, take), begun[-1] if begun else "to begin"
            if failed.startswith("cut"):
                note({"left_out": f"{name}: it was not done in time"})
            elif failed:
                note({"failed": name, "why": failed})
            if len(waiting) == count:
                break  # nor would the next process begin with anything
    if waiting:
        note({"left_out": waiting, "why": "no time was left"})
    for row in verdicts(rows):
        note(row)


def main() -> None:
    """The process that does jobs. It ends itself where one takes too long."""
    setting = Setting.read(os.environ[SETTING])
    for i, name in enumerate(os.environ[NAMES].splitlines()):
        if setting.left() < ROOM:
            return
        note({"begun": name})
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.stderr)
        for row in measured(named(name, setting.emulated or setting.small), setting):
            note(row)
        gc.collect()
        faulthandler.cancel_dump_traceback_later()
        if not i:  # of the last job there may be no end
            note({"libraries": libraries()})


def libraries() -> list[str]:
    """The files of NVIDIA's libraries that this process has loaded: there is to be one of each."""
    lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
    names = ("/libcudnn.so", "/libcublas", "/libcudart", "/libnvrtc.so")
    return sorted({line.split()[-1] for line in lines if any(name in line for name in names)})


def measured(job: Job, setting: Setting) -> Iterator[Row]:
    """The rows of a job."""
    ends = min(setting.deadline, time.monotonic() + PATIENCE) - ENDING
    backend, found = setting.backend(), setting.torch()
    if found is None or (setting.emulated and job.rivals != EAGER):
        why = "it is not here, or sees no GPU" if found is None else "it compiles for a GPU"
        yield {"left_out": f"PyTorch of {job.name}: {why}"}
        if job.rivals != EAGER:
            return
    smallest = setting.emulated or setting.small
    workload, precision = job.case.workload, job.case.precision
    count = 2 if math.prod((workload.batch, *workload.shape)) > 1 << 24 else 4
    given = list(zip(*batches(workload, workload.batch, count), strict=True))
    start = workloads.start(workload)
    variants = ("compiled", "eager") if job.rivals == EAGER else ("compiled",)
    contenders: list[Contender] = [Ours(backend, precision, name) for name in variants]
    if found is not None:  # cuDNN's plans are kept by their problem: the searched ones come first
        names = sorted(job.rivals, key=lambda name: name == REFERENCE)
        contenders += [PyTorch(*found, precision, name) for name in names]
    entries = []
    for contender in contenders:
        entry = Entry(contender)
        try:
            ready(entry, workload, start, given, smallest)
            entries.append(entry)
        except Exception as error:
            yield lost(job, contender, error)
    reference = None
    if found is not None:
        with leaving(PyTorch(*found, "float32", REFERENCE)) as standard:
            reference = first_losses(standard, workload, start, given)
    for entry in entries:
        entry.row |= judged(entry.row["losses"], reference, ALLOWED[precision])
    took = 0.0  # the round before
    for i in range(2 if smallest else ROUNDS):
        begun = time.monotonic()
        if i and begun + took > ends:
            break  # what was measured is kept
        for entry in entries[:] if i % 2 == 0 else entries[::-1]:
            try:
                turn(entry, smallest)
            except Exception as error:
                entries.remove(entry)
                yield lost(job, entry.contender, error)
        took = time.monotonic() - begun
    speed = copy_speed(backend, smallest)
    for entry in entries:
        entry.row |= entry.contender.figures()
        for source in entry.turns:
            yield row_of(job, entry, source, entries, speed)


def lost(job: Job, contender: Contender, error: Exception) -> Row:
    """The row of one that failed alone; where the GPU itself is lost, that is raised again here."""
    contender.free()
    who = f"{job.case.name}, {contender.side}, {contender.variant}"
    return {"failed": who, "why": f"{type(error).__name__}: {error}"}


@contextlib.contextmanager
def leaving(contender: Contender) -> Iterator[Contender]:
    """In use for the block; in the end what nobody holds is the GPU's again."""
    try:
        with contender.active():
            yield contender
    finally:
        contender.free()


def first_losses(
    contender: Contender, workload: Workload, start: Mapping[str, Any], given: Sequence[Any]
) -> list[float]:
    """Of the first steps on one batch, whose loss falls by what gradients and optimizer do; without
    dropout: its random numbers are each library's own."""
    contender.prepare(workload, dict(start), dropout=False)
    placed = contender.place(*given[0])
    return [contender.read(contender.step(*placed)) for _ in range(CHECKED)]


def ready(
    entry: Entry, workload: Workload, start: Mapping[str, Any], given: Sequence[Any], smallest: bool
) -> None:
    """Make the contender ready for its turns, after a look at what it computes."""
    contender, row = entry.contender, entry.row
    contender.free()
    before, begun = contender.held(), time.perf_counter()
    with leaving(contender):
        row["losses"] = first_losses(contender, workload, start, given)
        row["first_seconds"] = time.perf_counter() - begun
        row["first_memory"] = more(contender, before)
        row["settings"] = contender.settings()
        if any(isinstance(stage, Dropout) for stage in workload.network):
            contender.prepare(workload, dict(start), dropout=True)
        placed = [contender.place(*batch) for batch in given]
        n = len(given)
        entry.steps["device"] = lambda i: contender.step(*placed[i % n])
        if contender.variant in ("compiled", "tuned", "graph"):
            entry.steps["host"] = lambda i: contender.step_from_host(*given[i % n])
        contender.free()
        for source, step in entry.steps.items():
            entry.counts[source] = 2 if smallest else enough(contender, step)
            entry.turns[source] = []
            row.setdefault("memory", more(contender, before))


def more(contender: Contender, before: int | None) -> int | None:
    """By how much the pool has grown."""
    held = contender.held()
    return None if held is None or before is None else held - before


def enough(contender: Contender, step: Callable[[int], Any]) -> int:
    """How many steps make a turn."""
    timed(contender, step, 3)
    seconds = timed(contender, step, 5)[1]
    return max(math.ceil(SHORTEST / seconds), min(STEPS, math.ceil(LONGEST / seconds)))


def timed(contender: Contender, step: Callable[[int], Any], count: int) -> tuple[float, float]:
    """Seconds a step: by the GPU's events around all of them, and by the wall clock."""
    clock = contender.clock()
    start, wall = clock(), time.perf_counter()
    for i in range(count):
        step(i)
    return (clock() - start) / count, (time.perf_counter() - wall) / count


def turn(entry: Entry, smallest: bool) -> None:
    """One for each source of batches, after a few steps that fill the pool again."""
    with leaving(entry.contender) as contender:
        for source, step in entry.steps.items():
            timed(contender, step, 1 if smallest else 3)
            entry.turns[source].append(timed(contender, step, entry.counts[source]))


if __name__ == "__main__":
    main()
