"""95 % intervals by resampling the images (Efron 1979): percentiles of 2,000 seeded resamples.

They say how far the figure would move with other images of the same kind, not with another
training run. Where images belong together, as those of a patient do, whole groups are drawn:
images of one patient are alike, and drawn one by one they would make the interval too narrow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tensorgraph_metrics.metric import UNKNOWN, Interval

RESAMPLES = 2000
SEED = 0  # the same scores give the same intervals
CHUNK = 4_000_000  # numbers held at a time
METHOD = "bootstrap"


def units(groups: Any, n: int) -> tuple[Any, int]:
    """What is drawn: the number of its group for each of n images, and how many groups."""
    if groups is None:
        return np.arange(n), n
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    return codes.reshape(-1), len(names)


def weights(n: int, groups: Any) -> Iterator[Any]:
    """How often each image is in each resample, (resamples, n), some resamples at a time."""
    generator, (codes, count) = np.random.default_rng(SEED), units(groups, n)
    left = RESAMPLES
    while left:
        rows = min(left, max(1, CHUNK // n))
        drawn = generator.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        drawn = np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count)
        yield drawn if groups is None else drawn[:, codes]
        left -= rows


def together(rows: Any, groups: Any) -> Any:
    """A table with a row an image as one with a row a group."""
    if groups is None:
        return rows
    codes, count = units(groups, len(rows))
    found = np.zeros((count, rows.shape[1]))
    np.add.at(found, codes, rows)
    return found


def sums(rows: Any, groups: Any) -> Any:
    """Of a table with a row an image, the columns' sums in each resample: (resamples, columns)."""
    if not len(rows):
        return np.full((1, rows.shape[1]), np.nan)
    rows = together(rows, groups)
    return np.concatenate([drawn @ rows for drawn in weights(len(rows), None)])


def counts(cells: Any, kinds: int, groups: Any) -> Any:
    """Of whole numbers below ``kinds``, one or several an image, how many there are of each in
    each resample: (resamples, kinds)."""
    shown = np.asarray(groups).astype(str) if groups is not None else None
    key = None if shown is None else (shown.dtype.str, shown.tobytes())
    cells = np.ascontiguousarray(cells, np.int64)
    return _counts(cells.tobytes(), len(cells), kinds, key)


@functools.lru_cache(maxsize=4)  # all metrics that only count ask for the same
def _counts(cells: bytes, n: int, kinds: int, key: tuple[str, bytes] | None) -> Any:
    table = np.frombuffer(cells, np.int64).reshape(n, -1) if n else np.zeros((0, 1), np.int64)
    if key is None and table.shape[1] == 1 and n:  # the same draws, without the images
        shares = np.bincount(table[:, 0], minlength=kinds) / n
        return np.random.default_rng(SEED).multinomial(n, shares, size=RESAMPLES)
    rows = np.zeros((n, kinds))
    for column in table.T:
        rows[np.arange(n), column] += 1
    return sums(rows, None if key is None else np.frombuffer(key[1], key[0]))


def any_metric(
    metric: Callable[[Any, Any], float], scores: Any, labels: Any, groups: Any = None
) -> Interval:
    """The interval of a metric that brings none of its own."""
    generator, (codes, count) = np.random.default_rng(SEED), units(groups, len(labels))
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    values = []
    for _ in range(RESAMPLES if count else 0):
        draw = generator.integers(count, size=count)
        if groups is not None:
            draw = np.concatenate([members[unit] for unit in draw])
        values.append(metric(scores[draw], labels[draw]))
    return between(np.array(values))


def between(values: Any) -> Interval:
    """The middle 95 % of the resamples in which the figure is defined."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return UNKNOWN
    low, high = np.percentile(finite, [2.5, 97.5])
    return Interval(float(low), float(high), METHOD)
