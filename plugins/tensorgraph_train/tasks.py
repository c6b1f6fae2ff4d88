"""What follows from the task: loss and metric by default, and whether those asked for fit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import ConfigError, TensorgraphError
from tensorgraph_train import balance, parts, scores
from tensorgraph_train.feed import Feed
from tensorgraph_train.runfile import BY_TASK, Named, Train

LOSSES = {
    "classification": "cross_entropy",
    "multilabel": "binary_cross_entropy_with_logits",
    "regression": "mse_loss",
}
METRICS = {"classification": "accuracy", "multilabel": "auc", "regression": "loss"}


def with_defaults(train: Train, task: str) -> Train:
    """The same with the loss and the metric written out."""
    loss, metric = train.loss, train.metric
    if loss.name == BY_TASK:
        loss = Named(LOSSES[task], loss.options)
    return dataclasses.replace(
        train, loss=loss, metric=METRICS[task] if metric == BY_TASK else metric
    )


def loss(train: Train, feed: Feed) -> scores.Loss:
    """That of the run file, of outputs and labels, with the weights of classes."""
    registered = tg.losses[train.loss.name]
    more = balance.loss_options(train, feed.dataset, feed.dtype)

    def of_batch(outputs: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
        found: tg.Tensor = parts.guarded(
            registered, tg.losses, "train.loss", train.loss, outputs, labels, **more
        )
        return found

    return of_batch


def check_positive(positive: str | None, dataset: tg.Dataset) -> None:
    """One of two classes, where one is named."""
    binary = dataset.task == "classification" and len(dataset.classes) == 2
    if positive is not None and not (binary and positive in dataset.classes):
        has = f"{dataset.task} of {', '.join(dataset.classes)}"
        raise ConfigError(
            f"evaluate.positive = {positive!r}: it names one of two classes, and {dataset.name} is "
            f"for {has}"
        )


def check_metric(train: Train, dataset: tg.Dataset, indices: Any) -> None:
    """A metric that is not defined on these labels would choose no epoch; say so before."""
    labels, name = dataset.labels[indices], train.metric
    if train.patience is not None and not len(labels):
        raise ConfigError(
            "train.patience: without validation images nothing says when to stop; leave it "
            "out, or set data.val above 0"
        )
    if name == "loss" or not len(labels):
        return
    metric, task, classes = tg.metrics[name], dataset.task, len(dataset.classes)
    binary = task == "classification" and classes == 2
    tasks = getattr(metric, "tasks", ("classification",))
    if task not in tasks and not (binary and "binary" in tasks):
        raise ConfigError(
            f"train.metric: {name} is for {' and '.join(tasks)}, and {dataset.name} is for "
            f"{task}; choose another, or loss"
        )
    varied = np.linspace(0, 1, max(2, labels.size))[: labels.size].reshape(labels.shape)
    even = np.full((len(labels), classes), 1 / classes)
    if math.isnan(metric(even if task == "classification" else varied, labels)):
        present = ", ".join(dataset.classes[i] for i in np.unique(labels)) if binary else "alike"
        raise ConfigError(
            f"train.metric: {name} is not defined on the validation images, which are all of "
            f"{present}; choose another metric or split"
        )


def check_loss(train: Train, feed: Feed, loss: scores.Loss, mixed: bool = False) -> None:
    """Take the loss of outputs that have no values yet, before anything is written; ``mixed``: of
    labels that are shares of classes, since images are mixed."""
    n, classes = train.batch_size, len(feed.dataset.classes)
    task, name = feed.dataset.task, train.loss.name
    if task != "classification" and name == LOSSES["classification"]:
        raise ConfigError(  # it would take the labels for the shares of classes
            f"train.loss: {name} is for one class an image, and {feed.dataset.name} is for {task}; "
            f"{LOSSES[task]} does"
        )
    outputs = tg.Tensor(None, ABSTRACT, tg.Spec((n, classes), feed.dtype))
    numbers = task == "classification" and not mixed
    spec = tg.Spec((n,), "int64") if numbers else outputs.spec
    try:
        with tg.no_grad():
            shape = loss(outputs, tg.Tensor(None, ABSTRACT, spec)).shape
    except TensorgraphError as error:
        gives = "a classifier gives, logits and class numbers"
        if mixed:
            gives = "there is where images are mixed, logits and shares of classes"
        elif task != "classification":
            gives = f"there is in {task}, {outputs.spec} of the model and of the labels"
        raise ConfigError(
            f"train.loss: {name} does not take what {gives}: {error}; {LOSSES[task]} does"
        ) from error
    if shape:
        raise ConfigError(
            f"train.loss: {name} gives a number for each image, and training takes one for all "
            "of them: --set train.loss.reduction=mean"
        )
