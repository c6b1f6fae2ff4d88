"""The middle of a few differences and an interval around it that holds for any symmetric noise.

The Hodges-Lehmann estimate is the median of the means of all pairs (Hodges and Lehmann, Estimates
of location based on rank tests, Annals of Mathematical Statistics 34, 1963); its interval comes
from the exact distribution of Wilcoxon's signed-rank statistic (Individual comparisons by ranking
methods, Biometrics Bulletin 1, 1945). Nothing is assumed of the noise but that a difference is as
likely to be x above the middle as x below, which holds where base and head are measured in turns
and alike: heavy tails widen the interval, and do not shift it.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    middle: float
    low: float
    high: float


def interval(differences: Sequence[float], confidence: float) -> Interval:
    """The estimate and the interval; where so few differences allow no such confidence, the
    interval is all numbers."""
    n = len(differences)
    means = sorted(
        (differences[i] + differences[j]) / 2 for i in range(n) for j in range(i, n)
    )  # of each with itself, too
    left_out = beyond(n, (1 - confidence) / 2)
    middle = statistics.median(means)
    if left_out is None:
        return Interval(middle, -math.inf, math.inf)
    return Interval(middle, means[left_out], means[-1 - left_out])


@functools.cache
def beyond(n: int, tail: float) -> int | None:
    """How many of the lowest pair means lie outside the interval if its lower end is to be too high
    with a probability of ``tail`` at most; None if even the lowest mean is not enough."""
    ways = [1]  # how many sets of the ranks 1 to k have each sum
    for rank in range(1, n + 1):
        longer = [0] * (len(ways) + rank)
        for total, count in enumerate(ways):
            longer[total] += count
            longer[total + rank] += count
        ways = longer
    allowed, below = tail * 2**n, 0
    for total, count in enumerate(ways):
        below += count  # of the sets whose sum is ``total`` at most
        if below > allowed:
            return total - 1 if total else None
    return None
