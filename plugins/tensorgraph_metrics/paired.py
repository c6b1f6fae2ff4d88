"""Two models on the same images: the difference, its interval, and how probable one so large is
where there is none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph_metrics import resample, roc
from tensorgraph_metrics.metric import Z

FLIPS = 10_000
Row = dict[str, Any]


def paired(
    first: Any, second: Any, labels: Any, task: str, groups: Any = None, said: Any = None
) -> list[Row]:
    """A row for each figure. ``first`` and ``second`` are probabilities, or predictions of measured
    numbers; ``said`` the classes that the two say, where these are compared too."""
    if task == "regression":
        return [_known(_means("mae", np.abs(first - labels), np.abs(second - labels), groups))]
    rows = [{"metric": "auc", **roc.paired(first, second, labels, groups), "test": "DeLong"}]
    if said is not None:
        a, b = ((own == labels).astype(np.float64) for own in said)
        rows.append(_shares(a, b) if groups is None else _means("accuracy", a, b, groups))
    return [_known(row) for row in rows]


def _known(row: Row) -> Row:
    """What is not defined, such as the area of one class, is None."""
    lost = {k for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)}
    return {key: None if key in lost else value for key, value in row.items()}


def mcnemar(first_only: int, second_only: int) -> float:
    """The exact test (McNemar 1947): of the images that one alone has right, each is as likely to
    be the first's as the second's."""
    n, fewer = first_only + second_only, min(first_only, second_only)
    whole = math.lgamma(n + 1) - n * math.log(2)  # logarithms, or thousands would overflow
    shares = (whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(fewer + 1))
    return min(1.0, 2 * math.fsum(map(math.exp, shares)))


def _shares(first: Any, second: Any) -> Row:
    """Bonett and Price's interval (2012), and McNemar's test."""
    n = len(first)
    first_only, second_only = int((first > second).sum()), int((second > first).sum())
    a, b = (first_only + 1) / (n + 2), (second_only + 1) / (n + 2)
    half = Z * math.sqrt((a + b - (b - a) ** 2) / (n + 2))
    return {
        **_row("accuracy", first, second),
        "low": max(-1.0, b - a - half),
        "high": min(1.0, b - a + half),
        "p": mcnemar(first_only, second_only),
        "test": "McNemar",
        "first_only": first_only,
        "second_only": second_only,
    }


def _means(metric: str, first: Any, second: Any, groups: Any) -> Row:
    """The interval by drawing images, or whole patients, again; the test by swapping the two
    models' answers, all of a patient's at once: what would be as good if they were equal."""
    change = second - first
    sums = resample.sums(np.stack([change, np.ones(len(change))], 1), groups)
    low, high, _ = resample.between(sums[:, 0] / sums[:, 1])
    codes, count = resample.units(groups, len(change))
    together = np.bincount(codes, change, minlength=count)
    generator, at_least = np.random.default_rng(resample.SEED), 0
    for _ in range(10):
        signs = generator.integers(2, size=(FLIPS // 10, count)) * 2.0 - 1
        at_least += int((np.abs(signs @ together) >= abs(together.sum()) - 1e-9).sum())
    return {
        **_row(metric, first, second),
        "low": low,
        "high": high,
        "p": (at_least + 1) / (FLIPS + 1),
        "test": "swapping of answers" if groups is None else "swapping of patients' answers",
    }


def _row(metric: str, first: Any, second: Any) -> Row:
    a, b = float(first.mean()), float(second.mean())
    return {"metric": metric, "first": a, "second": b, "difference": b - a}
