"""The area under the ROC curve, with DeLong's interval in O(n log n), and paired differences.

DeLong, DeLong and Clarke-Pearson (1988) write the area as a mean of placements: for a positive
image the share of negatives that score below it (ties half), for a negative the share of positives
above it. Sorting gives all of them at once (Sun and Xu 2014). Here each image's deviation from the
mean is kept, scaled so that the sum of squares is DeLong's variance; then the variance of a mean of
areas, or of a difference on the same images, is the sum of squares of the mean, or difference, of
these deviations, and where images belong together their deviations are summed before squaring
(Obuchowski 1997).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph_metrics import resample
from tensorgraph_metrics.metric import UNKNOWN, Interval, Metric, Z


def placements(scores: Any, positive: Any) -> Any:
    """Of each image, in 0 … 1; NaN where one side is empty. No number is larger than 2 n."""
    positive = np.asarray(positive, bool)
    scores = np.asarray(scores, np.float64)
    found = np.full(len(scores), math.nan)
    for side in (True, False):
        mine, others = scores[positive == side], np.sort(scores[positive != side])
        if len(others):
            below = others.searchsorted(mine, "left") + others.searchsorted(mine, "right")
            share = below / (2 * len(others))
            found[positive == side] = share if side else 1 - share
    return found


def one_area(scores: Any, positive: Any) -> float:
    """Of one score: how often a positive scores above a negative, ties half."""
    mine = placements(scores, positive)[np.asarray(positive, bool)]
    return float(mine.mean()) if len(mine) else math.nan


def deviations(scores: Any, positive: Any, groups: Any = None) -> tuple[float, Any]:
    """The area, and what each image, or each group of them, adds to how it varies: the sum of
    squares is the area's variance. NaN with fewer than two positives or negatives (or groups)."""
    positive = np.asarray(positive, bool)
    placed = placements(scores, positive)
    area = float(placed[positive].mean()) if positive.any() else math.nan
    codes, count = resample.units(groups, len(placed))
    total = np.zeros(count)
    for side in (positive, ~positive):
        having = len(np.unique(codes[side]))
        if having < 2:
            return area, np.full(count, math.nan)
        own = np.bincount(codes[side], placed[side] - area, minlength=count) / side.sum()
        total += own * math.sqrt(having / (having - 1))
    return area, total


def columns(scores: Any, labels: Any) -> list[tuple[Any, Any]]:
    """Score and truth of each question: of two classes the second, of more each against the rest,
    of several labels each."""
    if labels.ndim == 2:
        return [(scores[:, k], labels[:, k] > 0) for k in range(labels.shape[1])]
    first = 1 if scores.shape[1] == 2 else 0
    return [(scores[:, c], labels == c) for c in range(first, scores.shape[1])]


def _defined(scores: Any, labels: Any) -> list[tuple[Any, Any]]:
    return [(s, p) for s, p in columns(scores, labels) if p.any() and not p.all()]


def _auc(scores: Any, labels: Any) -> float:
    """The mean over the questions that have both positives and negatives."""
    areas = [one_area(s, p) for s, p in _defined(scores, labels)]
    return sum(areas) / len(areas) if areas else math.nan


def delong(scores: Any, labels: Any, groups: Any = None) -> Interval:
    found = [deviations(s, p, groups) for s, p in _defined(scores, labels)]
    if not found:
        return UNKNOWN
    area = float(np.mean([area for area, _ in found]))
    error = math.sqrt(np.square(np.mean([own for _, own in found], axis=0)).sum())
    if not math.isfinite(error):
        return UNKNOWN
    return Interval(max(0.0, area - Z * error), min(1.0, area + Z * error), "DeLong")


def bootstrap(scores: Any, labels: Any, groups: Any = None) -> Interval:
    """Sorted once; a resample only weighs each image by how often it was drawn."""
    questions, chunks = _defined(scores, labels), []
    for weights in resample.weights(len(labels), groups) if questions else ():
        areas = np.array([_weighted(s, p, weights) for s, p in questions])
        known = ~np.isnan(areas)
        with np.errstate(invalid="ignore"):
            chunks.append(np.where(known, areas, 0.0).sum(0) / known.sum(0))
    return resample.between(np.concatenate(chunks)) if chunks else UNKNOWN


def _weighted(scores: Any, positive: Any, weights: Any) -> Any:
    """The area for each row of ``weights``; NaN where one side is empty."""
    order = np.argsort(scores, kind="stable")
    ordered, ones = scores[order], positive[order]
    negative = np.where(ones, 0, weights[:, order])
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(negative, axis=1)], axis=1)
    left = ordered.searchsorted(ordered[ones], "left")
    right = ordered.searchsorted(ordered[ones], "right")
    mine = weights[:, order[ones]]
    wins = (mine * (below[:, left] + below[:, right])).sum(1) / 2
    with np.errstate(invalid="ignore"):
        return wins / (mine.sum(1) * below[:, -1])


def paired(first: Any, second: Any, labels: Any, groups: Any = None) -> dict[str, float]:
    """The areas of two models on the same images: their difference, second less first, its
    interval, and how probable one so large is where there is none."""
    pairs = [
        (deviations(a, p, groups), deviations(b, p, groups))
        for (a, p), (b, _) in zip(columns(first, labels), columns(second, labels), strict=True)
        if p.any() and not p.all()
    ]
    areas = [float(np.mean([pair[i][0] for pair in pairs])) if pairs else math.nan for i in (0, 1)]
    difference = areas[1] - areas[0]
    own = np.mean([b[1] - a[1] for a, b in pairs], axis=0) if pairs else np.array([math.nan])
    error = math.sqrt(np.square(own).sum())
    if error > 1e-12:
        p = math.erfc(abs(difference) / error / math.sqrt(2))
    else:  # they place every image alike
        p = 1.0 if abs(difference) < 1e-12 else 0.0
    return {
        "first": areas[0],
        "second": areas[1],
        "difference": difference,
        "low": max(difference - Z * error, -1.0),  # in this order NaN stays
        "high": min(difference + Z * error, 1.0),
        "p": p if math.isfinite(error) else math.nan,
    }


auc = Metric(_auc, delong, ("classification", "multilabel"))
