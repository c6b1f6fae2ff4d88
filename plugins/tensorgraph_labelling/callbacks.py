"""Callbacks for few labels: hiding most of them, and pseudo-labels for those without."""

from __future__ import annotations

from typing import Any

from tensorgraph.errors import ConfigError


class FewLabels:
    """Trains on the labels of a ``share`` of the training images, drawn from each class by
    ``seed``; of the others only the pixels are used. At least one of each class is kept."""

    def __init__(self, share: float = 0.05, seed: int = 0) -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"few_labels: share={share} is not above 0 and at most 1")
        self.share, self.seed = share, seed

    def on_start(self, run: Any) -> None:
        from tensorgraph_labelling import pool

        pool.require_classes("few_labels", run)
        labels = run.feed.dataset.labels
        run.train_indices = pool.kept(run.train_indices, labels, self.share, self.seed)


class PseudoLabels:
    """From epoch ``start`` on, each epoch also trains on the images without a label of which the
    model is sure, with its own answer for their label (Lee, 2013).

    Sure is a probability of at least ``threshold``. It comes after ``few_labels`` in the list of
    callbacks. A run that is resumed asks the weights that it goes on with: the same as before where
    it was stopped between epochs.
    """

    def __init__(self, start: int = 5, threshold: float = 0.95) -> None:
        if start < 1 or not 0 < threshold <= 1:
            raise ConfigError(
                f"pseudo_labels: start={start} is not at least 1, or threshold={threshold} not "
                "above 0 and at most 1"
            )
        self.start, self.threshold = start, threshold
        self.feed: Any = None  # with the labels as they are

    def on_start(self, run: Any) -> None:
        from tensorgraph_labelling import pool

        pool.require_classes("pseudo_labels", run)
        self.feed, self.known = run.feed, run.train_indices
        self.unknown = pool.others(run.feed.dataset.splits["train"], self.known)
        if not len(self.unknown):
            raise ConfigError(
                "pseudo_labels: every training image has its label; put few_labels before it"
            )
        self._label(run)

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        self._label(run)

    def _label(self, run: Any) -> None:
        from tensorgraph_labelling import pool

        if run.progress.epoch >= self.start:
            pool.label(run, self.known, self.unknown, self.threshold)

    def on_end(self, run: Any) -> None:
        if self.feed is not None:
            run.feed = self.feed
