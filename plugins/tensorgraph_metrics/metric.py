"""Metric: a figure, its 95 % interval, and what it is for; Wilson's interval of a share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile
Task = str  # as of a dataset; or "binary", a classification of two classes, the second positive


class Interval(NamedTuple):
    """A 95 % interval, and how it was made."""

    low: float
    high: float
    method: str


UNKNOWN = Interval(math.nan, math.nan, "")


@dataclass(frozen=True)
class Metric:
    """``value(scores, labels)``, and ``between(scores, labels, groups)``, its interval.

    Of a classification ``scores`` are probabilities (n, classes) and ``labels`` integers (n,); of
    several labels an image both are (n, labels); of measured numbers both are (n,). ``groups`` is
    None, or says for each image what it must not be torn from when images are drawn again.
    ``of_decisions``: only the most probable class counts, not how probable it is.
    """

    value: Callable[[Any, Any], float]
    between: Callable[[Any, Any, Any], Interval]
    tasks: tuple[Task, ...] = ("classification",)
    larger_is_better: bool = True
    of_decisions: bool = False

    def __call__(self, scores: Any, labels: Any) -> float:
        return self.value(scores, labels)

    def interval(self, scores: Any, labels: Any, groups: Any = None) -> Interval:
        return self.between(scores, labels, groups)


def applies(metric: Any, task: Task, classes: int) -> bool:
    """Whether a metric, a stranger's too, says something of such labels."""
    tasks = getattr(metric, "tasks", ("classification",))
    return task in tasks or ("binary" in tasks and task == "classification" and classes == 2)


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927); it stays within 0 … 1 and is not empty
    at the ends."""
    if not n:
        return math.nan, math.nan
    share = successes / n
    middle = share + Z * Z / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
