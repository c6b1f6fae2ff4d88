"""Whether probabilities can be taken at their word: Brier score, expected calibration error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph_metrics import resample
from tensorgraph_metrics.metric import Interval, Metric

BINS = 10  # of equal width
ALL = ("classification", "multilabel")


def _squares(scores: Any, labels: Any) -> Any:
    """Brier (1950) of each image: of two classes (p - y)², of more the sum over the classes, of
    several labels the mean."""
    if labels.ndim == 2:
        return np.square(scores - labels).mean(1)
    if scores.shape[1] == 2:
        return np.square(scores[:, 1] - labels)
    return np.square(scores - np.eye(scores.shape[1])[labels]).sum(1)


def _brier(scores: Any, labels: Any) -> float:
    return float(_squares(scores, labels).mean()) if len(labels) else math.nan


def _brier_interval(scores: Any, labels: Any, groups: Any) -> Interval:
    squares = _squares(scores, labels)
    found = resample.sums(np.stack([squares, np.ones(len(squares))], 1), groups)
    return resample.between(found[:, 0] / found[:, 1])


def claims(scores: Any, labels: Any) -> tuple[Any, Any]:
    """What was claimed with which probability, and whether it was so, (n, claims an image): of two
    classes that it is the second, of more that it is the one said, of several labels each."""
    if labels.ndim == 2:
        return scores, labels > 0
    if scores.shape[1] == 2:
        return scores[:, 1:], (labels == 1)[:, None]
    return scores.max(1)[:, None], (scores.argmax(1) == labels)[:, None]


def _rows(scores: Any, labels: Any) -> Any:
    """For each image and bin: claims, the sum of their probabilities, how many were so."""
    probability, so = claims(scores, labels)
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    place = edges.searchsorted(probability)
    rows = np.zeros((len(labels), BINS, 3))
    for k in range(probability.shape[1]):
        what = np.stack([np.ones(len(labels)), probability[:, k], so[:, k]], 1)
        rows[np.arange(len(labels)), place[:, k]] += what
    return rows


def bins(scores: Any, labels: Any) -> list[dict[str, float]]:
    """The reliability curve: in each bin that has claims the mean probability and the share that
    was so."""
    found = _rows(scores, labels).sum(0)
    return [
        {
            "low": i / BINS,
            "high": (i + 1) / BINS,
            "n": int(n),
            "probability": float(total / n),
            "share": float(so / n),
        }
        for i, (n, total, so) in enumerate(found)
        if n
    ]


def _error(found: Any) -> Any:
    """From sums (…, bins, 3): the mean gap between claim and truth, each bin by its claims."""
    return np.abs(found[..., 1] - found[..., 2]).sum(-1) / found[..., 0].sum(-1)


def _ece(scores: Any, labels: Any) -> float:
    return float(_error(_rows(scores, labels).sum(0))) if len(labels) else math.nan


def _ece_interval(scores: Any, labels: Any, groups: Any) -> Interval:
    found = resample.sums(_rows(scores, labels).reshape(len(labels), -1), groups)
    return resample.between(_error(found.reshape(-1, BINS, 3)))


brier = Metric(_brier, _brier_interval, ALL, larger_is_better=False)
ece = Metric(_ece, _ece_interval, ALL, larger_is_better=False)
