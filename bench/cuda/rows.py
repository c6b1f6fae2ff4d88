"""What is made of the times and losses of training steps: rows, ratios, verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

import numpy as np

from bench.cuda import workloads
from bench.cuda.process import Row
from bench.cuda.workloads import Job

SHOWN = (
    *("case", "side", "variant", "batches", "seconds", "ratio", "samples_per_second", "off"),
    *("wrong", "first_seconds", "memory", "kernels", "limit_share"),
)


class Entry:
    """A contender in a job, with what was found out about it."""

    def __init__(self, contender: Any) -> None:
        self.contender = contender
        self.row: Row = {"side": contender.side, "variant": contender.variant}
        self.steps: dict[str, Callable[[int], Any]] = {}  # where batches come from → the i-th step
        self.counts: dict[str, int] = {}
        self.turns: dict[str, list[tuple[float, float]]] = {}  # seconds a step: events', wall's


def judged(losses: Sequence[float], reference: Sequence[float] | None, allowed: float) -> Row:
    """How far the losses are from those of the reference, and whether that is too far."""
    if reference is None:
        return {"off": None, "allowed": allowed, "wrong": False}
    off = float(np.max(np.abs(np.divide(losses, reference) - 1)))
    wrong = not off <= allowed  # also where a loss is no number
    return {"reference": list(reference), "off": off, "allowed": allowed, "wrong": wrong}


def row_of(job: Job, entry: Entry, source: str, entries: Sequence[Entry], speed: float) -> Row:
    """A row; what else there is to know is in its ``details``.

    seconds, quartiles  of a step, over the rounds, by the GPU's events; ``wall``: the host's clock
    batches             on the device already, or from the host through pinned buffers
    ratio               PyTorch's seconds over those of ours, compiled, in the same round: its
                        median and quartiles; none where one of the two is wrong
    wrong               whether the first losses are further ``off`` the reference than ``allowed``
    first_seconds       until the first losses were there, with all that was compiled for them
    memory              bytes that the pool takes from the GPU for model, batches and a step;
                        ``first_memory``: until the first losses were there
    bytes, limit_share  of a plan: what its tasks read and write, and the seconds that this takes
                        at ``copy_speed`` over those that the step takes
    """
    events, wall = zip(*entry.turns[source], strict=True)
    workload, seconds = job.case.workload, statistics.median(events)
    row = {"case": job.case.name, "title": workload.title, "batch": workload.batch, **entry.row}
    row |= {"precision": job.case.precision, "batches": source, "rounds": list(events)}
    row |= {"seconds": seconds, "quartiles": quartiles(events), "wall": statistics.median(wall)}
    row |= {"steps": entry.counts[source], "samples_per_second": workload.batch / seconds}
    if "bytes" in row:
        row |= {"copy_speed": speed, "limit_share": row["bytes"] / speed / seconds}
    ours = next((e for e in entries if e.row["variant"] == "compiled"), None)
    if ours is not None and entry.row["side"] == "PyTorch":
        ratios = [theirs / our for theirs, (our, _) in zip(events, ours.turns[source], strict=True)]
        right = not (entry.row["wrong"] or ours.row["wrong"])
        row |= {"ratio": statistics.median(ratios) if right else None}
        row |= {"ratio_quartiles": quartiles(ratios) if right else None}
    shown = {name: row[name] for name in SHOWN if name in row}
    return {**shown, "details": {k: x for k, x in row.items() if k not in SHOWN}}


def quartiles(values: Sequence[float]) -> list[float]:
    return [float(q) for q in np.quantile(values, (0.25, 0.75))]


def verdicts(rows: Sequence[Row]) -> Iterator[Row]:
    """For each case what was wanted of it, with batches that lie on the device; where our losses
    are wrong it was not reached, whatever the times are. ``lacking``: without what the best of all
    is not known, so that to be faster than the others is not to have reached it."""
    for case in workloads.cases():
        own = [r for r in rows if r.get("case") == case.name and r.get("batches") == "device"]
        ratios = {r["variant"]: r["ratio"] for r in own if r.get("ratio") is not None}
        wrong = [f"{r['side']} {r['variant']}" for r in own if r["wrong"]]
        for against, least in case.wanted.items():
            ratio = min(ratios.values(), default=None) if against == "best" else ratios.get(against)
            lacking = without(ratios) if against == "best" else []
            reached = None if ratio is None else ratio >= least
            if reached and lacking:
                reached = None
            if "TensorGraph compiled" in wrong:
                reached = False
            row = {"verdict": case.name, "against": against, "ratio": ratio, "wanted": least}
            row |= {"reached": reached, "best_of": sorted(ratios), "lacking": lacking}
            yield {**row, "wrong": wrong}


def without(found: Container[str]) -> list[str]:
    """Which of PyTorch's rows are not there; of the compiled ones any will do."""
    lacking = [name for name in workloads.EAGER if name not in found]
    if not any(name in found for name in workloads.COMPILED):
        lacking.append(workloads.COMPILED[0])
    return lacking
