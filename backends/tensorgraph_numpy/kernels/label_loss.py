"""The cross-entropy of scores (N, C) and labels (N,), and its gradient, in few calls of NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph.spec import Shaped


def _supports(*xs: Shaped, **_: Any) -> bool:
    return xs[-2].ndim == 2


def _shifted(x: Any) -> Any:
    """Scores less the largest of each row, so that nothing overflows."""
    return x - np.maximum.reduce(x, axis=1, keepdims=True)


def _known(labels: Any, classes: int) -> Any:
    """Which labels are classes."""
    return (labels >= 0) & (labels < classes)


def label_cross_entropy(x: Any, labels: Any, *, ignore_index: int, reduction: str) -> Any:
    scores, known = _shifted(x), _known(labels, x.shape[1])
    loss = -scores[np.arange(len(x)), labels * known]
    loss += np.log(np.add.reduce(np.exp(scores, out=scores), axis=1))
    counted = labels != ignore_index
    if not known.all():
        loss[~known] = math.nan
        loss[~counted] = 0
    elif not counted.all():
        loss[~counted] = 0
    if reduction == "none":
        return loss
    total = np.add.reduce(loss)
    if reduction == "sum":
        return total
    count = np.count_nonzero(counted)
    return total / x.dtype.type(count) if count else x.dtype.type(math.nan)


def label_cross_entropy_input(
    g: Any, x: Any, labels: Any, *, ignore_index: int, reduction: str
) -> Any:
    out, known = _shifted(x), _known(labels, x.shape[1])
    np.exp(out, out=out)
    out /= np.add.reduce(out, axis=1, keepdims=True)
    out[np.arange(len(x)), labels * known] -= 1
    counted = labels != ignore_index
    if reduction == "mean":
        g = g / x.dtype.type(max(1, np.count_nonzero(counted)))
    out *= g if reduction != "none" else g[:, None]
    known &= counted
    if not known.all():
        out[~known] = 0
    return out


KERNELS = [
    Kernel("label_cross_entropy", "rows", label_cross_entropy, _supports),
    Kernel("label_cross_entropy_input", "rows", label_cross_entropy_input, _supports),
]
