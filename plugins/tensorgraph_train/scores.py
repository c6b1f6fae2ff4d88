"""Running a model over a split, what is settled on validation, and the figures and predictions."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import TensorgraphError
from tensorgraph_train import steps, storage
from tensorgraph_train.feed import Feed
from tensorgraph_train.losses import values
from tensorgraph_train.runfile import Evaluate
from tensorgraph_train.steps import Step

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.csv"
BATCH = 256
Loss = Callable[[tg.Tensor, tg.Tensor], tg.Tensor]


class DivergedError(TensorgraphError, ArithmeticError):
    """The loss, or what the model gives, is no longer finite."""


def finite(outputs: Any) -> Any:
    """In float64; raises ``DivergedError`` where a model gives NaN or infinity."""
    x = np.asarray(outputs, np.float64)
    if not np.isfinite(x).all():
        raise DivergedError(
            "the model gives NaN or infinity, so nothing can be said of these images: its training "
            "went astray; train again with a lower train.optimizer.lr or with train.clip_norm"
        )
    return x


def probabilities(outputs: Any, task: str, temperature: float = 1.0) -> Any:
    """Of outputs (n, K): by softmax, or by sigmoid for several labels an image; of measured
    numbers the outputs (n,)."""
    return tg.plugins.walk("probabilities", outputs, task, temperature)


def run(
    model: tg.Layer,
    infer: Step,
    feed: Feed,
    indices: Any,
    loss: Loss | None = None,
    *,
    often: bool = False,
) -> tuple[Any, float]:
    """What the model gives for these images (n, K), in the labels' own units, and the mean loss,
    with dropout and the like off.

    ``infer`` is the model compiled. It is asked if the same images come ``often``; where they come
    once, only if there are enough batches of one size. Nothing is read before all are asked: to
    read is to wait for a device.
    """
    found: list[tg.Tensor] = []
    losses: list[tuple[tg.Tensor, int]] = []
    model.eval()
    pays = often or steps.pays(model, feed.spec, len(indices), BATCH)
    with tg.no_grad():
        for batch, x in feed.ahead(feed.batches(indices, BATCH)):
            ask = infer if pays and (often or len(batch) == BATCH) else model
            found.append(ask(x))
            if loss is not None:
                losses.append((loss(found[-1], feed.labels(batch)), len(batch)))
    model.train()
    if not found:
        return np.zeros((0, len(feed.dataset.classes))), math.nan
    total = sum(value * n for value, (_, n) in zip(values([x for x, _ in losses]), losses))
    with tg.no_grad():
        outputs = tg.ops.concat(found, axis=0).numpy()
    return feed.measured(finite(outputs)), total / len(indices)


def settle(feed: Feed, outputs: Any, indices: Any, wanted: Evaluate) -> dict[str, Any]:
    """What is chosen from the outputs for these images, those of validation: the temperature, and
    the threshold."""
    data = feed.dataset
    found: dict[str, Any] = tg.plugins.walk(
        "settle",
        outputs,
        data.labels[indices],
        data.labels[data.splits["train"]],
        data.classes,
        data.task,
        rule=wanted.threshold,
        positive=wanted.positive,
    )
    return found


def evaluate(
    feed: Feed, outputs: Any, indices: Any, split: str, decision: Any, prevalence: float | None
) -> dict[str, Any]:
    """Every figure of these outputs with its interval, as evaluation.json holds them."""
    data, decision = feed.dataset, decision or {}
    found: dict[str, Any] = tg.plugins.walk(
        "evaluate",
        probabilities(outputs, data.task, decision.get("temperature", 1.0)),
        data.labels[indices],
        data.classes,
        split=split,
        task=data.task,
        decision=decision,
        uncalibrated=probabilities(outputs, data.task),
        groups=None if data.groups is None else data.groups[indices],
        columns={name: values[indices] for name, values in data.columns.items()},
        prevalence=prevalence,
    )
    return found


def save(folder: Path, evaluation: Mapping[str, Any]) -> None:
    text = json.dumps(evaluation, indent=1, ensure_ascii=False, allow_nan=False)
    storage.write(folder / EVALUATION, (text + "\n").encode())


def save_predictions(
    folder: Path, feed: Feed, outputs: Mapping[str, tuple[Any, Any]], decision: Any
) -> None:
    """predictions.csv: a row for each image of these splits, which are (indices, outputs)."""
    data, text = feed.dataset, io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    regression = data.task == "regression"
    figures = ("prediction",) if regression else data.classes
    table.writerow(["image", "split", "group", "label", *figures])
    for split, (indices, given) in outputs.items():
        found = probabilities(given, data.task, (decision or {}).get("temperature", 1.0))
        for i, row in zip(indices, found.reshape(len(indices), -1).tolist(), strict=True):
            name = data.names[i] if len(data.names) else f"image {i}"
            group = "" if data.groups is None else data.groups[i]
            table.writerow([name, split, group, label(data, i), *row])
    storage.write(folder / PREDICTIONS, text.getvalue().encode())


def label(data: tg.Dataset, i: int) -> str | float:
    """The label of an image in words: its class, its labels joined by |, or its number."""
    own = data.labels[i]
    if data.task == "regression":
        return float(own)
    if data.task == "multilabel":
        return "|".join(name for name, is_so in zip(data.classes, own, strict=True) if is_so)
    return data.classes[int(own)]
