"""95 % intervals by resampling the images (Efron 1979): percentiles of 2,000 seeded resamples.

They say how far the figure would move with other images of the same kind, not with another
training run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

RESAMPLES = 2000
CHUNK = 4_000_000  # numbers held at a time

Interval = tuple[float, float]


def any_metric(
    metric: Callable[[Any, Any], float], scores: Any, labels: Any, seed: int
) -> Interval:
    """The interval of a metric that brings none of its own."""
    generator = np.random.default_rng(seed)
    n = len(labels)
    draws = (generator.integers(n, size=n) for _ in range(RESAMPLES))
    return _between(np.array([metric(scores[i], labels[i]) for i in draws]))


def macro_f1(scores: Any, labels: Any, seed: int) -> Interval:
    """Two countings a resample: of what was said and true at once, and of either."""
    generator = np.random.default_rng(seed)
    predicted, classes, n = scores.argmax(1), scores.shape[1], len(labels)
    values = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        draw = generator.integers(n, size=n)
        said, true = predicted[draw], labels[draw]
        both = np.bincount(true[said == true], minlength=classes)
        either = np.bincount(said, minlength=classes) + np.bincount(true, minlength=classes)
        values[i] = np.mean(2 * both[either > 0] / either[either > 0])
    return _between(values)


def auc(scores: Any, labels: Any, seed: int) -> Interval:
    """Sorted once; a resample only weighs each image by how often it was drawn."""
    columns = range(1, 2) if scores.shape[1] == 2 else range(scores.shape[1])
    chunks = []
    for weights in _weights(len(labels), seed):
        areas = np.array([_weighted_auc(scores[:, c], labels == c, weights) for c in columns])
        known = ~np.isnan(areas)
        total = np.where(known, areas, 0.0).sum(0)
        with np.errstate(invalid="ignore"):
            chunks.append(total / known.sum(0))
    return _between(np.concatenate(chunks))


def _weights(n: int, seed: int) -> Iterator[Any]:
    """How often each image is in each resample, (resamples, n), some resamples at a time."""
    generator = np.random.default_rng(seed)
    left = RESAMPLES
    while left:
        rows = min(left, max(1, CHUNK // n))
        yield np.array(
            [np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(rows)]
        )
        left -= rows


def _weighted_auc(scores: Any, positive: Any, weights: Any) -> Any:
    """The area for each row of ``weights``; NaN where one side is empty."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    ones = positive[order]
    negative = np.where(ones, 0, weights[:, order])
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(negative, axis=1)], axis=1)
    left = ordered.searchsorted(ordered[ones], "left")
    right = ordered.searchsorted(ordered[ones], "right")
    mine = weights[:, order[ones]]
    wins = (mine * (below[:, left] + below[:, right])).sum(1) / 2
    with np.errstate(invalid="ignore"):
        return wins / (mine.sum(1) * below[:, -1])


def _between(values: Any) -> Interval:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)
