"""Whether what is known of the images besides their pixels, or only their border, gives the labels
away: a small classifier on that alone, cross-validated by group. Needs scikit-learn."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg

IMAGES = 2000  # that are looked at, at most: an AUC is then known to 0.02
FOLDS, RESAMPLES = 5, 500
KINDS = 40  # different texts in a column; one with more, such as an identifier, is no feature
BORDER = "the border"


class Told(NamedTuple):
    """How well the labels can be told: the area under the ROC curve, and its 95 % interval."""

    auc: float
    low: float
    high: float


def features(dataset: tg.Dataset, border: Any) -> dict[str, Any]:
    """The families of features, (N, …) each, by name."""
    found = {}
    for name, column in dataset.columns.items():
        column = np.asarray(column)
        numbers = _numbers(column)
        if numbers is None:
            kinds, place = np.unique(column, return_inverse=True)
            if 1 < len(kinds) <= KINDS:
                found[name] = np.eye(len(kinds))[place]
        elif len(np.unique(numbers)) > 1:
            found[name] = numbers[:, None]
    return {**found, BORDER: border}


def _numbers(column: Any) -> Any:
    """Numbers, and dates as numbers; -1 where nothing is known; None for other texts."""
    if column.dtype.kind in "fiub":
        return np.nan_to_num(column.astype(np.float64), nan=-1.0)
    try:
        dates = [datetime.date.fromisoformat(x[:10]).toordinal() if x else -1 for x in column]
    except ValueError:
        return None
    return np.array(dates, np.float64)


def positives(dataset: tg.Dataset, indices: Any) -> Any:
    """(n, k) of 0 and 1: each class against the rest, of two the second; each of several labels;
    or numbers above their median."""
    labels = dataset.labels[indices]
    if dataset.task == "regression":
        return (labels > np.median(labels))[:, None].astype(np.int64)
    if dataset.task == "multilabel":
        return labels.astype(np.int64)
    each = np.eye(len(dataset.classes), dtype=np.int64)[labels]
    return each[:, 1:] if each.shape[1] == 2 else each


def sample(dataset: tg.Dataset, units: Any, seed: int) -> Any:
    """The images that are looked at: whole groups, in a random order, until there are enough."""
    every = np.sort(np.concatenate([np.asarray(x, np.int64) for x in dataset.splits.values()]))
    if len(every) <= IMAGES:
        return every
    order = np.random.default_rng(seed).permutation(units.max() + 1)
    return np.sort(every[np.argsort(order[units[every]], kind="stable")[:IMAGES]])


def folds(positive: Any, units: Any, seed: int) -> list[tuple[Any, Any]]:
    """What to learn from and what to ask, in turn; nothing where a class has too few groups."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    stratum = positive.argmax(1) if positive.shape[1] > 1 else positive[:, 0]
    if (positive.sum(1) > 1).any():  # several labels: that of them which halves the images best
        stratum = positive[:, np.abs(positive.mean(0) - 0.5).argmin()]
    having = [len(np.unique(units[stratum == k])) for k in np.unique(stratum)]
    if len(having) < 2 or min(having) < 2:
        return []
    options = {"n_splits": min(FOLDS, *having), "shuffle": True, "random_state": seed}
    if len(np.unique(units)) == len(units):
        return list(StratifiedKFold(**options).split(positive, stratum))
    return list(StratifiedGroupKFold(**options).split(positive, stratum, units))


def told(x: Any, positive: Any, units: Any, folds: list[tuple[Any, Any]], seed: int) -> Told:
    """How well ``x`` (n, …) tells ``positive`` (n, k) of images whose group was not seen."""
    from sklearn.ensemble import RandomForestClassifier

    score = np.zeros(positive.shape)
    for learn, ask in folds:
        forest = RandomForestClassifier(20, max_depth=5, min_samples_leaf=5, random_state=seed)
        y = positive[learn] if positive.shape[1] > 1 else positive[learn, 0]
        forest.fit(x[learn], y)
        found, classes = forest.predict_proba(x[ask]), forest.classes_
        if positive.shape[1] == 1:
            found, classes = [found], [classes]
        for k, (p, own) in enumerate(zip(found, classes)):
            score[ask, k] = p @ (own == 1)
    return Told(*area(score, positive, units, seed))


def area(score: Any, positive: Any, units: Any, seed: int) -> tuple[float, float, float]:
    """The mean area over the columns, and its interval by resampling the groups."""
    _, unit = np.unique(units, return_inverse=True)
    draw, most = np.random.default_rng(seed), int(unit.max()) + 1
    ranks = [np.unique(column, return_inverse=True)[1] for column in score.T]

    def of(weights: Any) -> float:
        areas = []
        for rank, ones in zip(ranks, positive.T):
            yes, no = np.bincount(rank, weights * ones), np.bincount(rank, weights * (1 - ones))
            if yes.sum() and no.sum():
                areas.append(yes @ (np.cumsum(no) - no / 2) / (yes.sum() * no.sum()))
        return float(np.mean(areas)) if areas else np.nan

    drawn = [
        of(np.bincount(draw.integers(most, size=most), minlength=most)[unit])
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return of(np.ones(len(unit))), float(low), float(high)
