"""Running a model over a split, and the figures with their intervals: evaluation.json."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import TensorgraphError
from tensorgraph_train import intervals, steps, storage
from tensorgraph_train.feed import Feed
from tensorgraph_train.metrics import wilson
from tensorgraph_train.steps import Step

EVALUATION = "evaluation.json"
BATCH = 256
SEED = 0  # of the resamples: the same scores give the same intervals
Loss = Callable[[tg.Tensor, tg.Tensor], tg.Tensor]


class DivergedError(TensorgraphError, ArithmeticError):
    """The loss, or what the model gives, is no longer finite."""


def softmax(logits: Any) -> Any:
    """In float64, so that the most certain answers stay in order."""
    x = np.asarray(logits, np.float64)
    if not np.isfinite(x).all():
        raise DivergedError(
            "the model gives NaN or infinity, so nothing can be said of these images: its training "
            "went astray; train again with a lower train.optimizer.lr or with train.clip_norm"
        )
    x = np.exp(x - x.max(1, keepdims=True))
    return x / x.sum(1, keepdims=True)


def run(
    model: tg.Layer,
    infer: Step,
    feed: Feed,
    indices: Any,
    loss: Loss | None = None,
    *,
    often: bool = False,
) -> tuple[Any, float]:
    """The probabilities of these images and the mean loss, with dropout and the like off.

    ``infer`` is the model compiled. It is asked if the same images come ``often``; where they come
    once, only if there are enough batches of one size.
    """
    found, total = [], 0.0
    model.eval()
    pays = often or steps.pays(model, feed.spec, len(indices), BATCH)
    with tg.no_grad():
        for batch, x in feed.ahead(feed.batches(indices, BATCH)):
            ask = infer if pays and (often or len(batch) == BATCH) else model
            logits = ask(x)
            found.append(softmax(logits.numpy()))
            if loss is not None:
                total += loss(logits, feed.labels(batch)).item() * len(batch)
    model.train()
    classes = len(feed.dataset.classes)
    scores = np.concatenate(found) if found else np.zeros((0, classes))
    return scores, total / len(indices) if len(indices) else math.nan


def figures(scores: Any, labels: Any, classes: tuple[str, ...], split: str) -> dict[str, Any]:
    """Every registered metric with its 95 % interval, and the confusion matrix.

    ``confusion.counts[i][j]`` is how many of class i were taken for class j; ``low`` and ``high``
    bound the share of class i that is. What is not defined, such as an AUC of one class, is None.
    """
    labels = np.asarray(labels)
    metrics = {}
    for name in sorted(tg.metrics):
        metric = tg.metrics[name]
        value = float(metric(scores, labels))
        low, high = math.nan, math.nan
        if math.isfinite(value):
            own = getattr(metric, "interval", None)
            low, high = (
                own(scores, labels, SEED)
                if own is not None
                else intervals.any_metric(metric, scores, labels, SEED)
            )
        metrics[name] = {"value": _known(value), "low": _known(low), "high": _known(high)}
    return {
        "split": split,
        "n": len(labels),
        "classes": list(classes),
        "metrics": metrics,
        "confusion": confusion(scores.argmax(1), labels, len(classes)),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def confusion(predicted: Any, labels: Any, classes: int) -> dict[str, Any]:
    """Counts by true class (row) and predicted class (column), and Wilson's intervals of the
    shares of each row."""
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    rows = [[int(n) for n in row] for row in counts.reshape(classes, classes)]
    bounds = [[wilson(n, sum(row)) for n in row] for row in rows]
    return {
        "counts": rows,
        "low": [[_known(low) for low, _ in row] for row in bounds],
        "high": [[_known(high) for _, high in row] for row in bounds],
    }


def save(folder: Path, evaluation: Mapping[str, Any]) -> None:
    text = json.dumps(evaluation, indent=1, ensure_ascii=False, allow_nan=False)
    storage.write(folder / EVALUATION, (text + "\n").encode())
