"""The built-in callbacks: history.jsonl, and what the terminal shows while a run goes on.

A callback is any object. Of these methods those that it has are called, with the run:
``on_start(run)``, ``on_batch(run)``, ``on_epoch(run, record)`` and, also after an error,
``on_end(run)``.
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


class Bar:
    """A line for each epoch, and, on a terminal, a bar with the loss, images/s and time left."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.task: Any = None
        self.start = 0.0
        self.seen = 0

    def on_start(self, run: Any) -> None:
        self.start = time.perf_counter()
        if sys.stdout.isatty():
            self._show(run)

    def _show(self, run: Any) -> None:
        from rich import progress

        self.bar = progress.Progress(
            progress.TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            progress.BarColumn(None),
            progress.TextColumn("loss {task.fields[loss]:.4f}"),
            progress.TextColumn("{task.fields[speed]:,.0f} images/s"),
            progress.TimeRemainingColumn(compact=True),
            transient=True,
        )
        self.task = self.bar.add_task(
            "train",
            total=run.settings.train.epochs * run.batches,
            completed=run.progress.epoch * run.batches + run.progress.batch,
            epoch=run.progress.epoch + 1,
            epochs=run.settings.train.epochs,
            loss=float("nan"),
            speed=0.0,
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
            epoch=progress.epoch + 1,
            loss=progress.loss_sum / progress.seen,
            speed=self.seen / (time.perf_counter() - self.start),
        )

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        line = self._line(run, record)
        if self.bar is None:
            print(line, flush=True)
        else:
            self.bar.console.print(line, highlight=False)

    def _line(self, run: Any, record: dict[str, Any]) -> str:
        epochs = str(run.settings.train.epochs)
        parts = [f"epoch {record['epoch']:>{len(epochs)}}/{epochs}"]
        for name, value in record.items():
            if name == "loss" or name.startswith("val_"):
                parts.append(f"{name.replace('val_', 'validation ', 1)} {value:.4f}")
        parts.append(f"{record['images_per_second']:,.0f} images/s")
        parts.append(f"{record['seconds']:.1f} s")
        best = "  best" if run.progress.best_epoch == record["epoch"] else ""
        return "  ".join(parts) + best

    def on_end(self, run: Any) -> None:
        if self.bar is not None:
            self.bar.stop()
