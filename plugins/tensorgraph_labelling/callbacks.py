"""Callbacks for few labels: hiding most of them, and pseudo-labels for those without."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError


class FewLabels:
    """Trains on the labels of a ``share`` of the training images, drawn from each class by
    ``seed``; of the others only the pixels are used. At least one of each class is kept."""

    def __init__(self, share: float = 0.05, seed: int = 0) -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"few_labels: share={share} is not above 0 and at most 1")
        self.share, self.seed = share, seed

    def on_start(self, run: Any) -> None:
        _require_classes("few_labels", run)
        generator, labels = np.random.default_rng(self.seed), run.feed.dataset.labels
        shuffled = generator.permutation(run.train_indices)
        kept = []
        for label in np.unique(labels[shuffled]):
            own = shuffled[labels[shuffled] == label]
            kept.append(own[: max(1, round(self.share * len(own)))])
        run.train_indices = np.sort(np.concatenate(kept))


class PseudoLabels:
    """From epoch ``start`` on, each epoch also trains on the images without a label of which the
    model is sure, with its own answer for their label (Lee, 2013).

    Sure is a probability of at least ``threshold``. It comes after ``few_labels`` in the list of
    callbacks. What a resumed run takes for sure is asked of the weights that it goes on with.
    """

    def __init__(self, start: int = 5, threshold: float = 0.95) -> None:
        if start < 1 or not 0 < threshold <= 1:
            raise ConfigError(f"pseudo_labels: start={start}, threshold={threshold}")
        self.start, self.threshold = start, threshold

    def on_start(self, run: Any) -> None:
        _require_classes("pseudo_labels", run)
        everything = np.asarray(run.feed.dataset.splits["train"])
        self.known = run.train_indices
        self.unknown = np.setdiff1d(everything, self.known)
        if not len(self.unknown):
            raise ConfigError(
                "pseudo_labels: every training image has its label; put few_labels before it"
            )
        if run.progress.epoch >= self.start:
            self._label(run)

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        if run.progress.epoch >= self.start:
            self._label(run)

    def _label(self, run: Any) -> None:
        p = _probabilities(run, self.unknown)
        sure = p.max(1) >= self.threshold
        labels = run.feed.dataset.labels.copy()
        labels[self.unknown[sure]] = p[sure].argmax(1)
        run.feed = dataclasses.replace(
            run.feed, dataset=dataclasses.replace(run.feed.dataset, labels=labels)
        )
        run.train_indices = np.sort(np.concatenate([self.known, self.unknown[sure]]))


def _probabilities(run: Any, indices: Any) -> Any:
    run.model.eval()
    with tg.no_grad():
        found = [
            tg.ops.softmax(run.model(run.feed.images(batch)), axis=1).numpy()
            for batch in run.feed.batches(indices, 256)
        ]
    run.model.train()
    return np.concatenate(found)


def _require_classes(name: str, run: Any) -> None:
    task = run.feed.dataset.task
    if task != "classification":
        raise ConfigError(f"{name}: takes images of one class each, and these are for {task}")
