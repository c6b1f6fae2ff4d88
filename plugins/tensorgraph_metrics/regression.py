"""How far measured numbers are off: mean absolute error, root mean square error, R²."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph_metrics import resample
from tensorgraph_metrics.metric import Interval, Metric


def _made(function: Callable[..., Any], larger_is_better: bool) -> Metric:
    """A metric of five sums over the images: 1, |e|, e², y and y², y counted from its mean."""

    def rows(predicted: Any, measured: Any) -> Any:
        error, y = predicted - measured, measured - measured.mean()
        return np.stack([np.ones(len(y)), np.abs(error), error**2, y, y**2], 1)

    def value(predicted: Any, measured: Any) -> float:
        if not len(measured):
            return math.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(function(*rows(predicted, measured).sum(0)))

    def between(predicted: Any, measured: Any, groups: Any) -> Interval:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = function(*resample.sums(rows(predicted, measured), groups).T)
        return resample.between(found)

    return Metric(value, between, ("regression",), larger_is_better)


def _r2(n: Any, off: Any, squares: Any, y: Any, y2: Any) -> Any:
    """The share of the variance that is explained; not defined where nothing varies."""
    spread = y2 - y**2 / n
    return np.where(spread > 1e-12 * n, 1 - squares / np.where(spread > 0, spread, 1), math.nan)


mae = _made(lambda n, off, squares, y, y2: off / n, larger_is_better=False)
rmse = _made(lambda n, off, squares, y, y2: np.sqrt(squares / n), larger_is_better=False)
r2 = _made(_r2, larger_is_better=True)
