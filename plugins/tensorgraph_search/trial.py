"""One trial: a training in a folder of its own, paused and resumed, and what validation says."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError, PluginError
from tensorgraph_search.pause import PausedError
from tensorgraph_search.space import put

RUN_FILE, HISTORY, FINISHED, FAILED = "run.toml", "history.jsonl", "evaluation.json", "failed.txt"
CALLBACKS = ("history", "progress")  # those of a run that names none
AMISS = (ConfigError, DataError, PluginError)  # what a run is refused for before it trains


@dataclass(frozen=True)
class Trial:
    """``value`` is the best on validation in its first ``epochs``, None where training failed."""

    number: int
    epochs: int
    values: Mapping[str, Any]
    folder: str
    metric: str = ""
    value: float | None = None
    larger_is_better: bool = True
    seconds: float = 0.0
    failed: str = ""

    @property
    def goodness(self) -> float:
        """Larger is better; a trial that failed is the worst."""
        if self.value is None:
            return -math.inf
        return self.value if self.larger_is_better else -self.value


@dataclass(frozen=True)
class Trainings:
    """The trainings of a search: of the tables ``base`` with a trial's values put in.

    ``pauses`` are the epochs after which the rounds but the last end.
    """

    base: Mapping[str, Any]
    pauses: Sequence[int]
    out: Path

    def run(self, number: int, epochs: int, values: Mapping[str, Any], first: bool) -> Trial:
        """Train for so many epochs in all, from where the trial is; nothing is run twice.

        Raises what is amiss with the run file, if it is the ``first`` trial that shows it.
        """
        folder = self.out / f"trial-{number:03}"
        while not self._done(folder, epochs):
            self._train(folder, values, first)
        return _result(number, epochs, values, folder)

    def _done(self, folder: Path, epochs: int) -> bool:
        if (folder / FINISHED).exists() or (folder / FAILED).exists():
            return True
        return epochs in self.pauses and len(_history(folder)) >= epochs

    def _train(self, folder: Path, values: Mapping[str, Any], first: bool) -> None:
        written = folder.with_suffix(".toml")
        with folder.with_suffix(".log").open("a", encoding="utf-8") as log:
            try:
                with contextlib.redirect_stdout(log), contextlib.suppress(PausedError):
                    if (folder / RUN_FILE).exists():
                        tg.plugins.walk("train", None, out=folder, resume=True)
                    else:
                        shutil.rmtree(folder, ignore_errors=True)  # killed before it began
                        written.write_text(tg.plugins.walk("toml", self._table(values)), "utf-8")
                        tg.plugins.walk("train", written, out=folder)
            except OSError:
                raise  # the disk, or files that are gone: no trial's own
            except Exception as error:
                if first and isinstance(error, AMISS):  # nothing is lost, and all are like this
                    words = str(error).replace(str(written), "the first trial")
                    raise ConfigError(words) from error
                folder.mkdir(exist_ok=True)
                (folder / FAILED).write_text(f"{error or type(error).__name__}\n", "utf-8")

    def _table(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The tables of the trial's run file."""
        table = copy.deepcopy(dict(self.base))
        # a whole table before its keys, and the name of a thing before its options
        for key in sorted(values, key=lambda key: (key.count("."), not key.endswith(".name"))):
            put(table, key, copy.deepcopy(values[key]))
        callbacks = list(table["train"].get("callbacks", CALLBACKS))
        names = [one.get("name") if isinstance(one, dict) else one for one in callbacks]
        pause = [{"name": "pause", "at": [*self.pauses]}] if self.pauses else []
        table["train"]["callbacks"] = ["history"] * ("history" not in names) + callbacks + pause
        return table


def run_file(folder: Path) -> str:
    """What the trial was trained with, every value written out, to be trained without a pause."""
    table = tomllib.loads((folder / RUN_FILE).read_text("utf-8"))
    callbacks = table["train"]["callbacks"]
    table["train"]["callbacks"] = [one for one in callbacks if one["name"] != "pause"]
    text: str = tg.plugins.walk("toml", table)
    return text


def _history(folder: Path) -> list[dict[str, Any]]:
    path = folder / HISTORY
    return [json.loads(x) for x in path.read_text("utf-8").splitlines()] if path.exists() else []


def _result(number: int, epochs: int, values: Mapping[str, Any], folder: Path) -> Trial:
    lines = _history(folder)[:epochs]
    seconds = round(sum(line["seconds"] for line in lines), 2)

    def failed(why: str) -> Trial:
        return Trial(number, epochs, values, folder.name, seconds=seconds, failed=why)

    if (folder / FAILED).exists():
        return failed((folder / FAILED).read_text("utf-8").strip())
    metric = tomllib.loads((folder / RUN_FILE).read_text("utf-8"))["train"]["metric"]
    if f"val_{metric}" not in lines[0]:
        raise ConfigError(
            "search: there are no validation images to choose by; set data.val in the run file"
        )
    larger = metric != "loss" and getattr(tg.metrics[metric], "larger_is_better", True)
    found = [x for line in lines if math.isfinite(x := line[f"val_{metric}"])]
    if not found:
        return failed(f"{metric} on validation is no number in any epoch")
    best = max(found) if larger else min(found)
    return Trial(number, epochs, values, folder.name, metric, best, larger, seconds)
