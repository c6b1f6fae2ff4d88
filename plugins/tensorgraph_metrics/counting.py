"""Metrics that count who was taken for whom: accuracy, sensitivity, F1, kappa and the like.

Each is a function of counts (…, C, C) by true class (row) and said class (column), so that a
table of resamples goes through it at once. Of several labels an image each is a table of two
classes, and the figure is the mean over the labels where it is defined.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph_metrics import resample
from tensorgraph_metrics.metric import Interval, Metric, wilson

Function = Callable[[Any], Any]
ALL = ("classification", "multilabel")
BINARY = ("binary",)


def table(said: Any, labels: Any, classes: int) -> Any:
    """Counts (classes, classes)."""
    cells = labels.astype(np.int64) * classes + said
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _tables(scores: Any, labels: Any) -> tuple[Any, int, int]:
    """The cell of each image in each table; how many tables; and of how many classes."""
    if labels.ndim == 2:
        several = labels.shape[1]
        said = (scores >= 0.5).astype(np.int64)
        return labels.astype(np.int64) * 2 + said + 4 * np.arange(several), several, 2
    classes = scores.shape[1]
    return (labels.astype(np.int64) * classes + scores.argmax(1))[:, None], 1, classes


def _mean(x: Any) -> Any:
    """Over the last axis, of what is defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing that is
        return np.nanmean(x, axis=-1)


def _made(function: Function, tasks: tuple[str, ...], share: Function | None = None) -> Metric:
    """A metric. ``share`` gives what a share is of, successes and n, where it is one."""

    def of(counts: Any, tables: int, classes: int) -> Any:
        shape = (*counts.shape[:-1], tables, classes, classes)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _mean(function(counts.reshape(shape).astype(np.float64)))

    def value(scores: Any, labels: Any) -> float:
        cells, tables, classes = _tables(scores, labels)
        kinds = tables * classes * classes
        return float(of(np.bincount(cells.reshape(-1), minlength=kinds), tables, classes))

    def between(scores: Any, labels: Any, groups: Any) -> Interval:
        cells, tables, classes = _tables(scores, labels)
        kinds = tables * classes * classes
        if share is not None and groups is None and tables == 1:
            found = np.bincount(cells[:, 0], minlength=kinds).reshape(classes, classes)
            return Interval(*wilson(*map(float, share(found))), "Wilson")
        if share is not None and len(cells):
            rows = np.zeros((len(cells), kinds))
            for column in cells.T:
                rows[np.arange(len(cells)), column] += 1
            own = resample.together(rows, groups).reshape(-1, tables, classes, classes)
            hits, of_all = (part.sum(1) for part in share(own))
            return Interval(*_of_units(hits, of_all), "Wilson, effective n")
        return resample.between(of(resample.counts(cells, kinds, groups), tables, classes))

    return Metric(value, between, tasks, of_decisions=True)


def _of_units(hits: Any, of: Any) -> tuple[float, float]:
    """Wilson's interval of a share whose images come in units that are alike: with as many
    independent images as would vary so much (Kott and Carr 1997); where nothing varies, as many as
    there are units. Resampling would give no width to a share of 1."""
    n, units = of.sum(), int((of > 0).sum())
    if not n or units < 2:
        return math.nan, math.nan
    share = hits.sum() / n
    variance = units / (units - 1) * np.square(hits - share * of).sum() / n**2
    effective = min(n, share * (1 - share) / variance) if variance > 0 else units
    return wilson(share * effective, effective)


def _right(c: Any) -> Any:
    return np.trace(c, axis1=-2, axis2=-1)


def _all(c: Any) -> Any:
    return c.sum((-2, -1))


def _diagonal(c: Any) -> Any:
    return np.diagonal(c, axis1=-2, axis2=-1)


def _balanced_accuracy(c: Any) -> Any:
    return _mean(_diagonal(c) / c.sum(-1))


def _macro_f1(c: Any) -> Any:
    """A class that neither occurs nor is said is left out."""
    return _mean(2 * _diagonal(c) / (c.sum(-1) + c.sum(-2)))


def _kappa(c: Any) -> Any:
    """Cohen (1960): agreement beyond what chance gives, of what could be beyond it."""
    n = _all(c)
    chance = (c.sum(-1) * c.sum(-2)).sum(-1) / n**2
    room = np.where(chance < 1, 1 - chance, math.nan)  # none where one class is all there is
    return (_right(c) / n - chance) / room


def _mcc(c: Any) -> Any:
    """Matthews (1975), for several classes Gorodkin (2004); 0 where one class is all there is."""
    n, true, said = _all(c), c.sum(-1), c.sum(-2)
    both = _right(c) * n - (true * said).sum(-1)
    spread = (n**2 - (true**2).sum(-1)) * (n**2 - (said**2).sum(-1))
    return np.where(spread > 0, both, 0.0 * n / n) / np.sqrt(np.where(spread > 0, spread, 1))


def _share(hits: Function, of: Function, tasks: tuple[str, ...] = BINARY) -> Metric:
    return _made(lambda c: hits(c) / of(c), tasks, lambda c: (hits(c), of(c)))


def _positive_f1(c: Any) -> Any:
    return 2 * c[..., 1, 1] / (c[..., 1, :].sum(-1) + c[..., :, 1].sum(-1))


accuracy = _share(_right, _all, ALL)
balanced_accuracy = _made(_balanced_accuracy, ALL)
macro_f1 = _made(_macro_f1, ("classification",))
f1 = _made(_positive_f1, ("binary", "multilabel"))
kappa = _made(_kappa, ALL)
mcc = _made(_mcc, ALL)
sensitivity = _share(lambda c: c[..., 1, 1], lambda c: c[..., 1, :].sum(-1))
specificity = _share(lambda c: c[..., 0, 0], lambda c: c[..., 0, :].sum(-1))
ppv = _share(lambda c: c[..., 1, 1], lambda c: c[..., :, 1].sum(-1))
npv = _share(lambda c: c[..., 0, 0], lambda c: c[..., :, 0].sum(-1))


def predictive(prevalence: float) -> dict[str, Metric]:
    """PPV and NPV where that share of people is ill, by Bayes' rule from sensitivity and
    specificity, which do not depend on it."""

    def rates(c: Any) -> tuple[Any, Any]:
        return c[..., 1, 1] / c[..., 1, :].sum(-1), c[..., 0, 0] / c[..., 0, :].sum(-1)

    def positive(c: Any) -> Any:
        found, spared = rates(c)
        return found * prevalence / (found * prevalence + (1 - spared) * (1 - prevalence))

    def negative(c: Any) -> Any:
        found, spared = rates(c)
        rest = spared * (1 - prevalence)
        return rest / (rest + (1 - found) * prevalence)

    return {"ppv": _made(positive, BINARY), "npv": _made(negative, BINARY)}
