"""Two runs on the same test images: paired tests of the predictions that their folders hold."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError

PREDICTIONS, EVALUATION = "predictions.csv", "evaluation.json"


@dataclass(frozen=True)
class Predicted:
    """What a run folder says of the test images."""

    folder: Path
    task: str
    classes: tuple[str, ...]
    threshold: Any
    names: list[str]
    labels: list[str]
    groups: list[str]
    scores: Any  # (n, classes), or (n,) of measured numbers


def read(folder: Path) -> Predicted:
    """From predictions.csv and evaluation.json."""
    for name in (PREDICTIONS, EVALUATION):
        if not (folder / name).is_file():
            raise ConfigError(
                f"{folder} has no {name}; give the folder that 'tensorgraph train' wrote"
            )
    try:
        evaluation = json.loads((folder / EVALUATION).read_text("utf-8"))
        with (folder / PREDICTIONS).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row[1] == "test"]
        scores = np.array([[float(x) for x in row[4:]] for row in rows])
        task, classes = evaluation["task"], tuple(evaluation["classes"])
        threshold = evaluation["threshold"]
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{folder}: {PREDICTIONS} or {EVALUATION} is damaged: {error}") from None
    if not rows:
        raise DataError(f"{folder}: {PREDICTIONS} has no test images")
    return Predicted(
        folder,
        task,
        classes,
        threshold,
        [row[0] for row in rows],
        [row[3] for row in rows],
        [row[2] for row in rows],
        scores[:, 0] if task == "regression" else scores,
    )


def compare(first: Predicted, second: Predicted) -> dict[str, Any]:
    """The differences, second less first. Raises ``ConfigError`` where the images are others."""
    _require_same(first, second)
    order = {name: i for i, name in enumerate(second.names)}
    place = [order[name] for name in first.names]
    groups = np.array(first.groups) if all(first.groups) else None
    labels = _labels(first)
    both = (first.scores, second.scores[place])
    said = None
    if first.task == "classification":
        said = tuple(_said(run, own) for run, own in zip((first, second), both, strict=True))
    rows = tg.plugins.walk("paired", *both, labels, first.task, groups, said)
    return {
        "first": str(first.folder),
        "second": str(second.folder),
        "n": len(labels),
        "task": first.task,
        "resampled_by": "image" if groups is None else "patient",
        "differences": rows,
    }


def _require_same(first: Predicted, second: Predicted) -> None:
    both = f"{first.folder} and {second.folder}"
    if (first.task, first.classes) != (second.task, second.classes):
        raise ConfigError(
            f"{both} cannot be compared: one is for {first.task} ({', '.join(first.classes)}), the "
            f"other for {second.task} ({', '.join(second.classes)})"
        )
    one, other = set(first.names), set(second.names)
    if one != other or len(one) != len(first.names) or len(other) != len(second.names):
        example = next(iter(sorted(one ^ other)), "a name that comes twice")
        raise ConfigError(
            f"{both} cannot be compared: their test images are not the same ({len(one)} and "
            f"{len(other)}, {len(one & other)} of them in both; {example} is not). Train both on "
            "one split: the same data, and the same data.val, data.test and train.seed, or a "
            "manifest with a column 'split'"
        )
    theirs = dict(zip(second.names, second.labels, strict=True))
    for name, label in zip(first.names, first.labels, strict=True):
        if theirs[name] != label:
            raise ConfigError(
                f"{both} cannot be compared: {name} is {label!r} in one and {theirs[name]!r} in "
                "the other"
            )


def _labels(run: Predicted) -> Any:
    if run.task == "regression":
        return np.array(run.labels, np.float64)
    if run.task == "multilabel":
        sets = [set(label.split("|")) for label in run.labels]
        return np.array([[name in own for name in run.classes] for own in sets], np.uint8)
    return np.array([run.classes.index(label) for label in run.labels])


def _said(run: Predicted, scores: Any) -> Any:
    """The class that a run says, at its own threshold where it has one."""
    settled = run.threshold
    if settled is None or len(run.classes) != 2:
        return scores.argmax(1)
    positive = run.classes.index(settled["positive"])
    return np.where(scores[:, positive] >= settled["value"], positive, 1 - positive)
