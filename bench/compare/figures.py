"""From times to what is said about them: ratios within rounds, the rival, whether losses agree."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from bench.compare.variants import RIVAL, Variant

FIRST, MOVED = 1e-4, 0.05  # how far losses may differ: see ``disagreements``
OUTPUTS = 1e-3
EPOCH = 0.05


class Spread(NamedTuple):
    """The median of several figures, the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Of two variants' times, round by round: the machine's speed drifts from one to the next.

    Both must have been timed in as many rounds.
    """
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def rival(found: Mapping[str, Any], variants: Sequence[Variant]) -> str | None:
    """The strongest variant of PyTorch: that of the lowest median, over all rounds."""
    names = [v.name for v in variants if v.family == RIVAL and complete(found.get(v.name))]
    return min(names, key=lambda name: statistics.median(found[name]["seconds"]), default=None)


def complete(variant: Mapping[str, Any] | None) -> bool:
    """Whether it was timed in every round: one that is left out midway has no figures."""
    if not variant or "missing" in variant or "failed" in variant:
        return False
    return bool(variant.get("seconds"))


def disagreements(measure: str, values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """How far each variant is from the middle one of all, in units of what is allowed: above 1 it
    does not compute the same thing.

    Losses of the first steps may differ by 1e-4 of the first one, and by a twentieth of how far
    they have been from it since: small differences grow in training, above all with batch norm and
    Adam. Outputs of inference may differ by 1e-3 of the largest. The mean loss of the first epoch,
    with dropout, may differ by a twentieth.
    """
    if not values:
        return {}
    sound = [found for found in values.values() if all(map(math.isfinite, found))]
    middle = [statistics.median(column) for column in zip(*(sound or values.values()))]
    if measure == "infer":
        allowed = [OUTPUTS * max(map(abs, middle))] * len(middle)
    elif measure == "epoch":
        allowed = [EPOCH * abs(middle[0])]
    else:
        start = middle[0]
        moved = accumulate((abs(x - start) for x in middle), max)
        allowed = [FIRST * abs(start) + MOVED * way for way in moved]
    apart = {
        name: [abs(x - y) / limit for x, y, limit in zip(found, middle, allowed)]
        for name, found in values.items()
    }
    return {  # max() would pass over NaN
        name: max(by) if all(map(math.isfinite, by)) else math.inf for name, by in apart.items()
    }


def largest_difference(values: Mapping[str, Sequence[float]]) -> float:
    """Of the first value, relative to it: between any two variants."""
    first = [found[0] for found in values.values()]
    return (max(first) - min(first)) / max(map(abs, first))


def disagreeing(result: Mapping[str, Any]) -> dict[str, float]:
    """The variants of a measurement that do not agree with the others."""
    found = disagreements(result["measure"], values_of(result))
    return {name: by for name, by in found.items() if by > 1}


def values_of(result: Mapping[str, Any]) -> dict[str, list[float]]:
    """The losses or outputs of each variant that has any."""
    variants = result["variants"]
    return {name: v["values"] for name, v in variants.items() if v.get("values")}
