"""How good a classifier is: accuracy, macro F1, area under the ROC curve; larger is better.

``scores`` are probabilities (n, classes) and ``labels`` integers (n,), both NumPy arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

Interval = tuple[float, float]


class Metric(NamedTuple):
    """A metric, and its 95 % interval where there is a better way than to resample blindly."""

    value: Callable[[Any, Any], float]
    between: Callable[[Any, Any, int], Interval]

    def __call__(self, scores: Any, labels: Any) -> float:
        return self.value(scores, labels)

    def interval(self, scores: Any, labels: Any, seed: int) -> Interval:
        return self.between(scores, labels, seed)


def _accuracy(scores: Any, labels: Any) -> float:
    """The share of images whose most probable class is the right one."""
    return float((scores.argmax(1) == labels).mean()) if len(labels) else math.nan


def _accuracy_interval(scores: Any, labels: Any, seed: int) -> Interval:
    right = int((scores.argmax(1) == labels).sum())
    return wilson(right, len(labels))


def wilson(successes: float, n: float) -> Interval:
    """Wilson's 95 % interval of a share (Wilson 1927); it stays within 0 … 1 and is not empty
    at the ends."""
    if not n:
        return math.nan, math.nan
    z = 1.959963984540054
    share = successes / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _macro_f1(scores: Any, labels: Any) -> float:
    """The mean over classes of the harmonic mean of precision and recall.

    A class that neither occurs nor is predicted is left out.
    """
    predicted = scores.argmax(1)
    found = []
    for c in range(scores.shape[1]):
        both = int(((predicted == c) & (labels == c)).sum())
        either = int((predicted == c).sum()) + int((labels == c).sum())
        if either:
            found.append(2 * both / either)
    return sum(found) / len(found) if found else math.nan


def _macro_f1_interval(scores: Any, labels: Any, seed: int) -> Interval:
    from tensorgraph_train import intervals

    return intervals.macro_f1(scores, labels, seed)


def _auc(scores: Any, labels: Any) -> float:
    """The area under the ROC curve: how often a positive scores above a negative, ties half.

    With two classes the second is the positive one; with more it is the mean over classes of
    one against the rest, and a class that lacks positives or negatives is left out.
    """
    columns = range(1, 2) if scores.shape[1] == 2 else range(scores.shape[1])
    areas = [_one_auc(scores[:, c], labels == c) for c in columns]
    areas = [a for a in areas if not math.isnan(a)]
    return sum(areas) / len(areas) if areas else math.nan


def _one_auc(scores: Any, positive: Any) -> float:
    """From the ranks, those of equal scores shared (Mann and Whitney 1947)."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return math.nan
    ordered = scores.copy()
    ordered.sort()
    mine = scores[positive]
    ranks = ordered.searchsorted(mine, "left") + ordered.searchsorted(mine, "right") + 1
    return (float(ranks.sum()) / 2 - ones * (ones + 1) / 2) / (ones * zeros)


def _auc_interval(scores: Any, labels: Any, seed: int) -> Interval:
    from tensorgraph_train import intervals

    return intervals.auc(scores, labels, seed)


accuracy = Metric(_accuracy, _accuracy_interval)
macro_f1 = Metric(_macro_f1, _macro_f1_interval)
auc = Metric(_auc, _auc_interval)
