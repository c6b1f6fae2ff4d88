"""Against unequal classes: weights of the loss, and epochs in which all classes are as frequent."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_train import feed
from tensorgraph_train.runfile import Train


def weights(train: Train, dataset: tg.Dataset) -> tuple[float, ...] | None:
    """What ``train.class_weights`` says, a number a class.

    "balanced" is n / (classes · images of the class) over the training images; of labels of which
    an image may have several, the images without the label over those with it.
    """
    asked, classes = train.class_weights, dataset.classes
    if asked is None:
        return None
    if dataset.task == "regression":
        raise ConfigError(f"train.class_weights: {dataset.name} has measured numbers, no classes")
    if not isinstance(asked, str):
        if len(asked) != len(classes):
            raise ConfigError(
                f"train.class_weights has {len(asked)} numbers for {len(classes)} classes: "
                f"{', '.join(classes)}"
            )
        return asked
    labels = dataset.labels[np.asarray(dataset.splits["train"], np.int64)]
    if labels.ndim == 2:
        having = labels.sum(0, dtype=np.int64)
        found = (len(labels) - having) / np.maximum(having, 1)
    else:
        having = np.bincount(labels, minlength=len(classes))
        found = len(labels) / (len(classes) * np.maximum(having, 1))
    return tuple(found.tolist())


def loss_options(train: Train, dataset: tg.Dataset, dtype: str) -> dict[str, tg.Tensor]:
    """The option by which the loss takes the weights; none where none are asked for."""
    found = weights(train, dataset)
    if found is None:
        return {}
    option = "pos_weight" if dataset.task == "multilabel" else "weight"
    if option not in inspect.signature(tg.losses[train.loss.name]).parameters:
        raise ConfigError(
            f"train.class_weights: the loss {train.loss.name} has no {option}; cross_entropy and "
            "binary_cross_entropy_with_logits take weights, and train.sampling = 'balanced' needs "
            "none"
        )
    return {option: tg.tensor(list(found), dtype=dtype)}


def check(train: Train, dataset: tg.Dataset) -> None:
    if train.sampling == "balanced" and dataset.task != "classification":
        raise ConfigError(
            f"train.sampling = 'balanced' takes images of one class each, and {dataset.name} is "
            f"for {dataset.task}"
            + ("; train.class_weights = 'balanced' works" * (dataset.task == "multilabel"))
        )


def epoch(train: Train, dataset: tg.Dataset, indices: Any, number: int) -> Any:
    """The images of an epoch in their order: each once, or, "balanced", as many of each class.

    Of a frequent class other images come in each epoch, those of a rare one come several times.
    It depends on the seed and the epoch, nothing else.
    """
    n = len(indices)
    order = feed.order(n, train.seed, number)
    shuffled = indices[order]
    if train.sampling != "balanced":
        return shuffled
    labels = dataset.labels[shuffled]
    present = np.unique(labels)
    more = n % len(present)  # left over: one more for some classes, others in each epoch
    drawn = [
        np.resize(
            shuffled[labels == label], n // len(present) + ((k + number) % len(present) < more)
        )
        for k, label in enumerate(present)
    ]
    return np.concatenate(drawn)[order]
