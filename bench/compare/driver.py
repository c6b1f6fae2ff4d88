"""Measures: a worker for each variant, all of them taking turns, round after round."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compare import drawn
from bench.compare.process import LeftOut, Worker
from bench.compare.variants import Variant
from bench.compare.workloads import Workload, save_problem

CHECKED = 4  # steps whose losses are compared
INFERENCE = (1, 64)  # batch sizes
TRIAL = 20  # batches from which the time of an epoch is foretold
Result = dict[str, Any]


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Plan:
    """How to measure. Times are in seconds: of a turn; the longest that a step and an epoch may
    take, so that nobody holds up the others; and how long to wait for any answer. What is compiled
    where no cold start is measured is kept in ``caches`` from one measurement to the next."""

    variants: Sequence[Variant]
    rounds: int = 5
    seconds: float = 1.0
    threads: int = 0
    batches: int = 4  # different ones, taken in turn
    longest_step: float = 10.0
    longest_epoch: float = 150.0
    patience: float = 900.0
    caches: Path | None = None
    say: Callable[[str], None] = lambda text: None


class Measurement:
    """Of one workload, and of one use of it: its result is a table of what each variant gave."""

    def __init__(self, plan: Plan, workload: Workload, measure: str, batch: int) -> None:
        self.plan, self.workload, self.batch = plan, workload, batch
        self.train = measure != "infer"
        self.found: dict[str, Result] = {v.name: {} for v in plan.variants}
        self.result: Result = {
            "workload": workload.name,
            "measure": measure,
            "batch": batch,
            "variants": self.found,
        }

    def run(self) -> Result:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            here = Path(folder)
            self.problem = str(here / "problem.npz")
            count = self.plan.batches if self.train else 1
            save_problem(self.problem, self.workload, self.batch, count)
            workers = dict(self._started(here, stack))
            for i in range(self.plan.rounds):
                self.plan.say(f"round {i + 1} of {self.plan.rounds}")
                for name in _turned(list(workers), i):
                    self._turn(workers, name, i)
        return self.result

    def _started(self, here: Path, stack: ExitStack) -> Iterator[tuple[str, Worker]]:
        for variant in self.plan.variants:
            training = self.result["measure"] == "train"
            caches = (here if training else self.plan.caches or here) / variant.name
            worker = None
            try:
                if training:
                    self.plan.say(f"{variant.title}: cold start, first losses")
                    self._cold(variant, here / f"{variant.name}, cold")
                    self._losses(variant, caches)
                self.plan.say(f"{variant.title}: start")
                worker = stack.enter_context(self._worker(variant, caches))
                self._warm(worker)
                worker.stop()
            except LeftOut as error:
                self._leave_out(variant.name, error)
                if worker is not None:
                    worker.close()
            else:
                yield variant.name, worker

    def _worker(self, variant: Variant, caches: Path, settled: bool = True) -> Worker:
        threads = self.plan.threads or cores()
        return Worker(variant, threads, caches, self.plan.patience, settled)

    def _leave_out(self, name: str, error: LeftOut) -> None:
        self.found[name][error.kind] = str(error)
        self.plan.say(f"{name} is left out: {error}")

    def _first(self, worker: Worker) -> tuple[float, Result]:
        """The seconds from the import to the end of the first step; and the step."""
        begun = worker.begun()
        self.found[worker.variant.name]["imported_kib"] = begun["peak_kib"]
        made = self._prepare(worker)
        step = worker.ask(do="steps", seconds=0, least=1)
        return begun["seconds"] + made["seconds"] + step["seconds"], step

    def _prepare(self, worker: Worker, dropout: bool = True) -> Result:
        name = self.workload.name
        return worker.ask(
            do="prepare", workload=name, problem=self.problem, train=self.train, dropout=dropout
        )

    def _cold(self, variant: Variant, caches: Path) -> None:
        """The first start with nothing compiled, where it is another than a settled one."""
        if not variant.settled:
            return
        with self._worker(variant, caches, settled=False) as worker:
            self.found[variant.name]["cold"], _ = self._first(worker)

    def _losses(self, variant: Variant, caches: Path) -> None:
        """The first losses, without dropout, after everything was compiled."""
        found = self.found[variant.name]
        with self._worker(variant, caches) as worker:
            found["compiled"], _ = self._first(worker)
            found.setdefault("cold", found["compiled"])
            self._prepare(worker, dropout=False)
            steps = worker.ask(do="steps", seconds=0, least=CHECKED)
            found["values"] = [value for (value,) in steps["values"]]
            self._not_too_slow(steps["last"])

    def _warm(self, worker: Worker) -> None:
        found = self.found[worker.variant.name]
        found["warm"], step = self._first(worker)
        if not self.train:
            found["values"] = step["values"][0]
        again = worker.ask(do="steps", seconds=0, least=1)
        self._not_too_slow(again["last"])

    def _not_too_slow(self, seconds: float) -> None:
        if seconds > self.plan.longest_step:
            limit = self.plan.longest_step
            raise LeftOut("missing", f"a step takes {seconds:.0f} s, more than {limit:g} s")

    def _turn(self, workers: dict[str, Worker], name: str, i: int) -> None:
        try:
            with workers[name].turn() as worker:
                answer = self._measured(worker, i)
        except LeftOut as error:
            workers.pop(name).close()
            self._leave_out(name, error)
            return
        found = self.found[name]
        for key in ("seconds", "steps", "others"):
            found.setdefault(key, []).append(answer[key])
        found["peak_kib"] = answer["peak_kib"]

    def _measured(self, worker: Worker, i: int) -> Result:
        seconds = self.plan.seconds
        return worker.ask(do="steps", seconds=seconds, least=3, warm=0.2 * seconds)


class Epochs(Measurement):
    """Whole epochs on the images of a file, of which each round has one."""

    def __init__(self, plan: Plan, workload: Workload, images: str) -> None:
        super().__init__(plan, workload, "epoch", workload.batch)
        self.images = images

    def _epoch(self, worker: Worker, number: int, batches: int | None = None) -> Result:
        return worker.ask(
            do="epoch", images=self.images, batch=self.batch, number=number, batches=batches
        )

    def _warm(self, worker: Worker) -> None:
        super()._warm(worker)
        self._epoch(worker, 0, 3)  # whatever is compiled for the short batch at the end
        trial = self._epoch(worker, 0, TRIAL)
        seconds = trial["seconds"] / trial["steps"] * trial["of"]
        if seconds > self.plan.longest_epoch:
            limit = self.plan.longest_epoch
            raise LeftOut("missing", f"an epoch takes {seconds:.0f} s, more than {limit:g} s")

    def _measured(self, worker: Worker, i: int) -> Result:
        answer = self._epoch(worker, i + 1)
        self.found[worker.variant.name].setdefault("values", []).extend(answer["values"][0])
        return answer


def _turned(names: list[str], i: int) -> list[str]:
    """The names beginning with another one each round: being first or last is not the same."""
    i = i % len(names) if names else 0
    return names[i:] + names[:i]


def measurements(
    plan: Plan, workloads: Sequence[str], modes: Sequence[str], images: str | None
) -> Iterator[Measurement]:
    """What is to be measured, of "train", "infer" and "epoch"; an epoch is of workloads that take
    images of the given file's shape, (1, 28, 28)."""
    for name in workloads:
        workload = drawn.workload(name)
        if "train" in modes:
            yield Measurement(plan, workload, "train", workload.batch)
        for batch in INFERENCE if "infer" in modes else ():
            yield Measurement(plan, workload, "infer", batch)
        if "epoch" in modes and images and workload.shape == (1, 28, 28):
            yield Epochs(plan, workload, images)


def save_images(folder: Path, path: str) -> None:
    """Write MNIST's training set, and the mean and deviation of its pixels, as workers read it."""
    import numpy as np

    import tensorgraph as tg

    data = tg.datasets.idx.load(folder, val=0.0)
    train = data.splits["train"]
    pixels, labels = np.ascontiguousarray(data.images[train]), data.labels[train]
    statistics = [pixels.mean(dtype=np.float64) / 255, pixels.std(dtype=np.float64) / 255]
    np.savez(path, pixels=pixels, labels=labels, statistics=statistics)
