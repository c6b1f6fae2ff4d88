"""What lies behind the curves: rates at every threshold, calibration.

``truth`` is 0 or 1 and ``p`` a probability, NumPy arrays (n,).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

BINS = 10
Z = 1.959963984540054  # of a 95 % interval


class Rates(NamedTuple):
    """At each threshold, from the highest on: what counts as positive is p >= threshold."""

    threshold: Any
    true_positive: Any  # counts
    false_positive: Any
    positives: int
    negatives: int

    @property
    def sensitivity(self) -> Any:
        return self.true_positive / max(self.positives, 1)

    @property
    def fall_out(self) -> Any:
        """1 − specificity."""
        return self.false_positive / max(self.negatives, 1)

    @property
    def precision(self) -> Any:
        """1 where nothing counts as positive."""
        called = self.true_positive + self.false_positive
        return np.where(called, self.true_positive / np.maximum(called, 1), 1.0)


def rates(truth: Any, p: Any) -> Rates:
    order = np.argsort(-p, kind="stable")
    hits, scores = np.cumsum(truth[order]), p[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))  # of each run of equal scores
    true = np.concatenate([[0], hits[last]])
    called = np.concatenate([[0], last + 1])
    thresholds = np.concatenate([[np.inf], scores[last]])
    positives = int(truth.sum())
    return Rates(thresholds, true, called - true, positives, len(truth) - positives)


class Bin(NamedTuple):
    """Images of about the same probability."""

    n: int
    said: float  # the mean probability
    found: float  # the share that is positive
    low: float  # of Wilson's 95 % interval of that share
    high: float


def calibration(truth: Any, p: Any, bins: int = BINS) -> list[Bin]:
    """Bins of equal width; empty ones are left out."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    found = []
    for i in range(bins):
        own = which == i
        if n := int(own.sum()):
            share = float(truth[own].mean())
            found.append(Bin(n, float(p[own].mean()), share, *wilson(share, n)))
    return found


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % interval of a share."""
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))
