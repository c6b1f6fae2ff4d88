"""One trial: a training run in a folder of its own, and what validation says of it."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError, TensorgraphError

RUN_FILE, HISTORY, FINISHED, FAILED = "run.toml", "history.jsonl", "evaluation.json", "failed.txt"


@dataclass(frozen=True)
class Trial:
    """``value`` is that of the best epoch on validation, None where the training failed."""

    number: int
    epochs: int
    values: Mapping[str, Any]
    folder: str
    metric: str
    value: float | None
    larger_is_better: bool
    seconds: float

    @property
    def goodness(self) -> float:
        """Larger is better; a trial that failed is the worst."""
        if self.value is None:
            return float("-inf")
        return self.value if self.larger_is_better else -self.value


def run(base: Path, number: int, epochs: int, values: Mapping[str, Any], out: Path) -> Trial:
    """Train, or go on, or read what an earlier search has left: a trial is never run twice."""
    folder = out / f"trial-{number:03}-epochs-{epochs}"
    if not (folder / FINISHED).exists() and not (folder / FAILED).exists():
        _train(base, epochs, values, folder)
    return _result(number, epochs, values, folder)


def _train(base: Path, epochs: int, values: Mapping[str, Any], folder: Path) -> None:
    begun = (folder / RUN_FILE).exists()
    # another model drops the options of the one before, so that it comes first
    keys = sorted(values, key=lambda key: key != "model.name")
    given = [f"{key}={json.dumps(values[key])}" for key in keys] + [f"train.epochs={epochs}"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.log").open("a", encoding="utf-8") as log:
        try:
            with contextlib.redirect_stdout(log):
                if begun:
                    tg.plugins.walk("train", None, out=folder, resume=True)
                else:
                    tg.plugins.walk("train", base, set_=given, out=folder)
        except ConfigError:
            raise  # a mistake in the run file, which the other trials would make too
        except TensorgraphError as error:
            (folder / FAILED).write_text(f"{error}\n", "utf-8")


def _result(number: int, epochs: int, values: Mapping[str, Any], folder: Path) -> Trial:
    if (folder / FAILED).exists():
        return Trial(number, epochs, values, folder.name, "", None, True, 0.0)
    lines = [json.loads(x) for x in (folder / HISTORY).read_text("utf-8").splitlines()]
    metric = tomllib.loads((folder / RUN_FILE).read_text("utf-8"))["train"]["metric"]
    if f"val_{metric}" not in lines[0]:
        raise ConfigError(
            "search: there are no validation images to choose by; set data.val in the run file"
        )
    larger = metric != "loss" and getattr(tg.metrics[metric], "larger_is_better", True)
    found = [line[f"val_{metric}"] for line in lines]
    best = max(found) if larger else min(found)
    seconds = sum(line["seconds"] for line in lines)
    return Trial(number, epochs, values, folder.name, metric, best, larger, round(seconds, 2))
