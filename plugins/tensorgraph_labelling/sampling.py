"""Which images to label next: those of which the model is least sure, or these and unlike."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.errors import ConfigError, DataError
from tensorgraph_labelling.clusters import distances, k_means, standardised

PREFILTER = 10  # times the budget: as many of the least sure are grouped, by Zhdanov (2019)


def entropy(p: Any) -> Any:
    """Of each row of probabilities (n, K), in nats."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(1)


def margin(p: Any) -> Any:
    """1 less the difference of the two most probable classes."""
    ordered = np.sort(p, axis=1)
    return 1 - (ordered[:, -1] - ordered[:, -2])


def least_sure(measure: Callable[[Any], Any]) -> Callable[..., Any]:
    """The images where the measure is largest; among equals the first."""

    def choose(p: Any, features: Any, budget: int, seed: int) -> Any:
        return np.argsort(-measure(p), kind="stable")[:budget]

    return choose


def diverse(p: Any, features: Any, budget: int, seed: int) -> Any:
    """Of the least sure by margin one of each group of features that are alike, so that a batch
    does not ask the same thing many times."""
    unsure = margin(p)
    candidates = np.argsort(-unsure, kind="stable")[: PREFILTER * budget]
    x = standardised(features[candidates])
    centres, nearest = k_means(x, budget, seed, unsure[candidates] + 1e-9)
    away, chosen = distances(x, centres), []
    for i in range(budget):
        own = np.flatnonzero(nearest == i)
        if len(own):
            chosen.append(own[away[own, i].argmin()])
    left = np.setdiff1d(np.arange(len(candidates)), chosen)  # in place of empty groups
    return candidates[np.concatenate([chosen, left[: budget - len(chosen)]]).astype(np.int64)]


def at_random(p: Any, features: Any, budget: int, seed: int) -> Any:
    """What every other way has to be better than."""
    return np.random.default_rng(seed).permutation(len(p))[:budget]


WAYS: Mapping[str, Callable[..., Any]] = {
    "entropy": least_sure(entropy),
    "margin": least_sure(margin),
    "diverse": diverse,
    "random": at_random,
}


def choose(by: str, p: Any, features: Any, budget: int, seed: int = 0) -> Any:
    """Indices of the images to label, the most wanted first; all where there are fewer."""
    if by not in WAYS:
        raise ConfigError(f"--by {by}: it takes one of {', '.join(WAYS)}")
    if p.ndim != 2 or p.shape[1] < 2 or np.abs(p.sum(1) - 1).max(initial=0.0) > 1e-3:
        raise ConfigError(
            "pick: takes a model of one class an image; this one predicts numbers or several labels"
        )
    return WAYS[by](p, features, min(budget, len(p)), seed)


def rows(manifest: Path) -> list[dict[str, str]]:
    """Those of a labelling list that have a label."""
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        found = csv.DictReader(file)
        if not {"path", "label"} <= {*(found.fieldnames or ())}:
            raise DataError(f"{manifest}: a manifest has the columns path and label")
        return [row for row in found if row["label"]]


def listed(manifest: str, dataset: Any) -> tuple[Any, Any]:
    """The training images that a list gives a label, by their names, and all labels as it says."""
    train = np.asarray(dataset.splits["train"])
    places = {str(dataset.names[i]): i for i in train}
    labels, known = dataset.labels.copy(), []
    for row in rows(Path(manifest)):
        if row["path"] not in places:
            raise DataError(f"{manifest}: {row['path']} is the name of no training image")
        if row["label"] not in dataset.classes:
            raise DataError(
                f"{manifest}: {row['path']} is {row['label']!r}, which is none of the classes "
                f"{', '.join(dataset.classes)}"
            )
        known.append(places[row["path"]])
        labels[known[-1]] = dataset.classes.index(row["label"])
    if not known:
        raise DataError(f"{manifest}: no image has a label")
    return np.unique(known), labels
