"""The training images that have a label, and those that are treated as if they had none."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError

BATCH = 256


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


def others(indices: Any, known: Any) -> Any:
    return np.setdiff1d(np.asarray(indices), known)


def label(run: Any, known: Any, unknown: Any, threshold: float) -> None:
    """Let the run train on ``known``, and on those of ``unknown`` of which its model is sure."""
    p = _probabilities(run, unknown)
    sure = p.max(1) >= threshold
    labels = run.feed.dataset.labels.copy()
    labels[unknown[sure]] = p[sure].argmax(1)
    dataset = dataclasses.replace(run.feed.dataset, labels=labels)
    run.feed = dataclasses.replace(run.feed, dataset=dataset)
    run.train_indices = np.sort(np.concatenate([known, unknown[sure]]))


def _probabilities(run: Any, indices: Any) -> Any:
    run.model.eval()
    with tg.no_grad():
        found = [
            tg.ops.softmax(run.model(run.feed.images(batch)), axis=1).numpy()
            for batch in run.feed.batches(indices, BATCH)
        ]
    run.model.train()
    return np.concatenate(found)
