"""Cross-validation: a run for each fold, and the figures of all their test images together."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_train import scores
from tensorgraph_train.runfile import Settings


class Tested(NamedTuple):
    """What a finished run says of its test images."""

    evaluation: dict[str, Any]
    scores: Any
    labels: Any


def of(settings: Settings) -> Iterator[tuple[int, Settings]]:
    """The number of each fold, from 1, and the settings of its run."""
    for number in range(1, (settings.data.folds or 0) + 1):
        data = dataclasses.replace(settings.data, fold=number)
        yield number, dataclasses.replace(settings, data=data)


def pooled(found: Sequence[Tested]) -> dict[str, Any]:
    """The evaluation of the test images of all folds, each judged by the run that never saw it.

    Every metric has besides its value in each fold, and their mean and standard deviation.
    """
    evaluation = scores.figures(
        np.concatenate([one.scores for one in found]),
        np.concatenate([one.labels for one in found]),
        tuple(found[0].evaluation["classes"]),
        "test",
    )
    evaluation["folds"] = len(found)
    for name, row in evaluation["metrics"].items():
        values = [one.evaluation["metrics"][name]["value"] for one in found]
        known = [x for x in values if x is not None]
        row["folds"] = values
        row["mean"] = statistics.fmean(known) if known else None
        row["sd"] = statistics.stdev(known) if len(known) > 1 else None
    return evaluation
