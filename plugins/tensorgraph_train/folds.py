"""Cross-validation: a run for each fold, and the figures of all their test images together."""

from __future__ import annotations

import csv
import dataclasses
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_train.runfile import Settings
from tensorgraph_train.scores import EVALUATION, PREDICTIONS
from tensorgraph_train.shares import HEADER, SPLIT

Row = dict[str, str]


def of(settings: Settings) -> Iterator[tuple[int, Settings]]:
    """The number of each fold, from 1, and the settings of its run."""
    for number in range(1, (settings.data.folds or 0) + 1):
        data = dataclasses.replace(settings.data, fold=number)
        yield number, dataclasses.replace(settings, data=data)


def folder(out: Path, number: int) -> Path:
    return out / f"fold-{number}"


def finished(folder: Path) -> bool:
    return (folder / EVALUATION).exists() and (folder / PREDICTIONS).exists()


def pooled(settings: Settings, out: Path) -> dict[str, Any]:
    """The evaluation of the test images of all folds, each judged by the run that never saw it.

    "spread" has for every metric its value in each fold, their mean and standard deviation. The
    threshold is each fold's own, so that figures at it are in the spread alone.
    """
    folders = [folder(out, number) for number, _ in of(settings)]
    found = [json.loads((path / EVALUATION).read_text("utf-8")) for path in folders]
    task, classes = found[0]["task"], found[0]["classes"]
    rows = [row for path in folders for row in _table(path / PREDICTIONS) if row["split"] == "test"]
    known = {row["image"]: row for row in _table(folders[0] / SPLIT)}
    columns = [name for name in next(iter(known.values())) if name not in HEADER]
    groups = np.array([row["group"] for row in rows])
    labels = _labels([row["label"] for row in rows], task, classes)
    evaluation: dict[str, Any] = tg.plugins.walk(
        "evaluate",
        np.array([[float(x) for x in [*row.values()][len(HEADER) :]] for row in rows]).squeeze(
            1 if task == "regression" else ()
        ),
        labels,
        classes,
        split="test",
        task=task,
        decision={"majority": _majority(labels, task, classes)},
        groups=groups if groups[0] else None,
        columns={k: _column([known[row["image"]][k] for row in rows]) for k in columns},
        prevalence=None,
    )
    spread = {
        part: {
            name: _spread([one[part][name]["value"] for one in found]) for name in found[0][part]
        }
        for part in ("metrics", "at_threshold")
        if found[0][part]
    }
    return {**evaluation, "folds": len(found), "spread": spread}


def _table(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _labels(given: Sequence[str], task: str, classes: Sequence[str]) -> Any:
    if task == "regression":
        return np.array([float(x) for x in given])
    if task == "multilabel":
        shown = [x.split("|") for x in given]
        return np.array([[name in own for name in classes] for own in shown], np.uint8)
    return np.array([classes.index(x) for x in given], np.int64)


def _majority(labels: Any, task: str, classes: Sequence[str]) -> Any:
    """What says best the same of every image, of these labels themselves."""
    if task == "regression":
        return float(labels.mean())
    if task == "multilabel":
        return [name for name, share in zip(classes, labels.mean(0)) if share > 0.5]
    return classes[int(np.bincount(labels).argmax())]


def _column(values: Sequence[str]) -> Any:
    """Numbers where all are, as split.csv wrote them."""
    try:
        return np.array([float(x) if x else np.nan for x in values])
    except ValueError:
        return np.array(values)


def _spread(values: Sequence[float | None]) -> Mapping[str, Any]:
    known = [x for x in values if x is not None]
    return {
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "folds": list(values),
    }
