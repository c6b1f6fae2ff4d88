"""The cross-entropy of scores and class labels, and its gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph_numba.kernels.lanes import pointer, spread
from tensorgraph_numba.kernels.rows import check_dense, power_sum, row_top, rows_along, softmax_row
from tensorgraph_numba.native import Call, bind, kernel

EACH, TOTAL, MEAN = 0, 1, 2
REDUCTIONS = {"none": EACH, "sum": TOTAL, "mean": MEAN}


@kernel
def label_losses(a: Any, like: Any) -> None:
    """``-log(softmax(x))`` at each label; each loss, or their sum or mean, added up in float64."""
    x, labels, out = pointer(a[0], like), pointer(a[2], np.int64(0)), pointer(a[4], like)
    count, ignored, reduction, accumulate = a[10], a[11], a[12], a[13]
    losses, counted = 0.0, 0
    for i in range(a[6]):
        p = i * a[7]
        for row in range(i * a[8], (i + 1) * a[8]):
            loss, label = 0.0, labels[row]
            if label != ignored:
                counted += 1
                loss = math.nan
                if 0 <= label < count:
                    top = row_top(x, p, count, like)
                    loss = math.log(power_sum(x, p, count, spread(top, like), like)) - (
                        x[p + label] - top
                    )
            if reduction == EACH:
                out[row] = loss
            losses += loss
            p += a[9]
    if reduction == MEAN:
        losses = losses / counted if counted else math.nan
    if reduction != EACH:
        out[0] = losses + (out[0] if accumulate else 0.0)


@kernel
def label_gradients(a: Any, like: Any) -> None:
    """The gradient of ``label_losses`` in ``x``."""
    g, x = pointer(a[0], like), pointer(a[2], like)
    labels, out = pointer(a[4], np.int64(0)), pointer(a[6], like)
    count, ignored, reduction = a[14], a[15], a[16]
    share = 1.0
    if reduction == MEAN:
        counted = 0
        for row in range(a[8] * a[11]):
            counted += labels[row] != ignored
        share = 1.0 / max(counted, 1)
    for i in range(a[8]):
        p, q = i * a[9], i * a[10]
        for row in range(i * a[11], (i + 1) * a[11]):
            label = labels[row]
            scale = share * (g[row] if reduction == EACH else g[0])
            if label == ignored or not 0 <= label < count:
                label, scale = -1, 0.0
            softmax_row(x, p, out, q, count, label, scale, like)
            p += a[12]
            q += a[13]


@kernel
def find_label_share(a: Any, like: Any) -> None:
    """One over the number of labels that are not ignored."""
    labels, out = pointer(a[0], np.int64(0)), pointer(a[2], like)
    counted = 0
    for row in range(a[4]):
        counted += labels[row] != a[5]
    out[0] = 1.0 / counted


def _classes(x: Any) -> tuple[int, tuple[int, ...]]:
    """The axis of the classes in scores (C,) or (N, C, …), and the shape of their labels."""
    axis = min(x.ndim - 1, 1)
    return axis, x.shape[:axis] + x.shape[axis + 1 :]


def label_cross_entropy(
    x: Any, labels: Any, out: Any, *, ignore_index: int, reduction: str, accumulate: bool = False
) -> list[Call]:
    """The op of this name. ``labels`` are dense int64, ``out`` is dense; a sum or mean is added to
    what is there where ``accumulate`` is set."""
    name = "label_cross_entropy"
    axis, shape = _classes(x)
    words = rows_along(name, axis, x)
    check_dense(name, labels, shape, np.int64)
    check_dense(name, out, shape if reduction == "none" else (), x.dtype)
    if not x.size and (reduction == "none" or accumulate):
        return []
    given = ignore_index, REDUCTIONS[reduction], accumulate
    return [bind(label_losses, x.dtype.name, x, labels, out, *words, *given)]


def label_share(labels: Any, out: Any, *, ignore_index: int) -> list[Call]:
    """What each label counts in a mean: infinite where all are ignored. ``labels`` are dense int64,
    ``out`` is one number."""
    check_dense("label_share", labels, labels.shape, np.int64)
    check_dense("label_share", out, (), out.dtype)
    return [bind(find_label_share, out.dtype.name, labels, out, labels.size, ignore_index)]


def label_cross_entropy_input(
    g: Any, x: Any, labels: Any, out: Any, *, ignore_index: int, reduction: str
) -> list[Call]:
    """The op of this name. ``labels`` are dense int64, ``g`` is dense; ``out`` may be ``x``."""
    name = "label_cross_entropy_input"
    axis, shape = _classes(x)
    words = rows_along(name, axis, x, out)
    check_dense(name, labels, shape, np.int64)
    check_dense(name, g, shape if reduction == "none" else (), x.dtype)
    if not x.size:
        return []
    given = ignore_index, REDUCTIONS[reduction]
    return [bind(label_gradients, x.dtype.name, g, x, labels, out, *words, *given)]
