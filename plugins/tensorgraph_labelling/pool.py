"""The training images that have a label, those that have none, and batches of both."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError

BATCH = 256
UNLABELLED = "unlabelled"  # the part of a dataset whose images have no label


def require_classes(name: str, run: Any) -> None:
    task = run.feed.dataset.task
    if task != "classification":
        raise ConfigError(f"{name}: takes images of one class each, and these are for {task}")


def kept(indices: Any, labels: Any, share: float, seed: int) -> Any:
    """This share of the images of each class, and at least one."""
    shuffled = np.random.default_rng(seed).permutation(indices)
    found = []
    for label in np.unique(labels[shuffled]):
        own = shuffled[labels[shuffled] == label]
        found.append(own[: max(1, round(share * len(own)))])
    return np.sort(np.concatenate(found))


def unlabelled(run: Any) -> Any:
    return np.asarray(run.feed.dataset.splits.get(UNLABELLED, ()), np.int64)


def change(run: Any, **fields: Any) -> None:
    """Let the run train on its dataset with other labels or splits."""
    dataset = dataclasses.replace(run.feed.dataset, **fields)
    run.feed = dataclasses.replace(run.feed, dataset=dataset)


def probabilities(run: Any, indices: Any) -> Any:
    """What the model says of these images as it is, (n, K)."""
    run.model.eval()
    with tg.no_grad():
        found = [
            tg.ops.softmax(run.infer(run.feed.images(batch)), axis=1).numpy()
            for batch in run.feed.batches(indices, BATCH)
        ]
    run.model.train()
    return np.concatenate(found)


class Joined:
    """The images of a dataset, decoded on access or not, and more of them after these."""

    def __init__(self, first: Any, more: Any) -> None:
        self.first, self.more = first, more
        self.shape = (len(first) + len(more), *more.shape[1:])
        self.dtype = more.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, indices: Any) -> Any:
        indices = np.asarray(indices)
        out = np.empty((len(indices), *self.shape[1:]), self.dtype)
        own = indices < len(self.first)
        out[own], out[~own] = self.first[indices[own]], self.more[indices[~own] - len(self.first)]
        return out


class Batches:
    """For each step of a run some of all its training images, with a label or without: in an
    order that depends on the run's seed and the epoch."""

    def __init__(self, run: Any, size: int) -> None:
        labelled = np.asarray(run.feed.dataset.splits["train"])
        self.images = np.concatenate([labelled, unlabelled(run)])
        self.size = size or run.settings.train.batch_size

    def next(self, run: Any) -> Any:
        key = [run.settings.train.seed, run.progress.epoch]
        order = np.random.default_rng(key).permutation(self.images)
        places = run.progress.batch * self.size + np.arange(self.size)
        return order[places % len(order)]
