"""The built-in callbacks: history.jsonl, and what the terminal shows while a run goes on.

A callback is any object. Of these methods those that it has are called, with the run:
``on_start(run)``, ``on_batch(run)``, ``on_epoch(run, record)`` and, also after an error,
``on_end(run)``; ``extra_inputs(run)`` and ``extra_loss(run, *inputs)`` for each step; ``state()``
and ``load_state(state)`` with checkpoints.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from tensorgraph_train import storage

HISTORY = "history.jsonl"


class History:
    """Keeps history.jsonl, a line an epoch; a resumed run goes on where it was."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_start(self, run: Any) -> None:
        path = run.folder / HISTORY
        found = path.read_text("utf-8").splitlines() if path.exists() else []
        self.lines = found[: run.progress.epoch]  # an epoch after the checkpoint runs once more

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        self.lines.append(json.dumps(record))
        storage.write(run.folder / HISTORY, "".join(f"{x}\n" for x in self.lines).encode())


class Lines:
    """A line for each epoch, and, on a terminal, a bar with the loss, images/s and time left."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.task: Any = None
        self.start = 0.0
        self.seen = 0
        self.metric = ""  # of the last epoch

    def on_start(self, run: Any) -> None:
        self.start = time.perf_counter()
        if run.progress.epoch < run.settings.train.epochs:
            names = ["loss", *self._figures(run)]
            head = "".join(f"{name:>{_width(name)}}" for name in names)
            print(f"{'epoch':>9}{head}{'images/s':>11}{'time':>9}", flush=True)
            if sys.stdout.isatty():
                self._show(run)

    def _figures(self, run: Any) -> list[str]:
        """What validation gives."""
        metric = run.settings.train.metric
        if not len(run.val_indices):
            return []
        return ["val_loss"] if metric == "loss" else ["val_loss", f"val_{metric}"]

    def _show(self, run: Any) -> None:
        from rich import progress

        self.bar = progress.Progress(
            progress.TextColumn("{task.fields[at]:>9}  {task.fields[figures]}"),
            progress.BarColumn(None),
            progress.TextColumn("{task.fields[speed]:,.0f} images/s"),
            progress.TimeRemainingColumn(compact=True),
            transient=True,
        )
        done = run.progress.epoch * run.batches + run.progress.batch
        total = run.settings.train.epochs * run.batches
        self.task = self.bar.add_task(
            "", total=total, completed=done, at=_at(run), figures="", speed=0.0
        )
        self.bar.start()

    def on_batch(self, run: Any) -> None:
        if self.bar is None:
            return
        progress = run.progress
        self.seen += min(run.settings.train.batch_size, len(run.train_indices))
        self.bar.update(
            self.task,
            completed=progress.epoch * run.batches + progress.batch,
            at=_at(run),
            figures=self.metric + _loss(progress),
            speed=self.seen / (time.perf_counter() - self.start),
        )

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        names = ["loss", *self._figures(run)]
        figures = "".join(f"{record[name]:>{_width(name)}.4f}" for name in names)
        at = f"{record['epoch']}/{run.settings.train.epochs}"
        if len(names) > 2:
            self.metric = f"{names[-1].removeprefix('val_')} {record[names[-1]]:.4f}  "
        line = f"{at:>9}{figures}{record['images_per_second']:>11,.0f}{record['seconds']:>7.1f} s"
        if run.progress.best_epoch == record["epoch"]:
            line += "  best"
        if self.bar is None:
            print(line, flush=True)
        else:
            self.bar.console.print(line, highlight=False, soft_wrap=True)

    def on_end(self, run: Any) -> None:
        if self.bar is not None:
            self.bar.stop()


def _loss(progress: Any) -> str:
    """The mean over what was read of this epoch: nothing yet where a device is far behind."""
    return f"loss {progress.loss_sum / progress.seen:.4f}" if progress.seen else ""


def _at(run: Any) -> str:
    return f"{run.progress.epoch + 1}/{run.settings.train.epochs}"


def _width(name: str) -> int:
    return max(8, len(name)) + 2
