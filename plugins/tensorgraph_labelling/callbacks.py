"""Callbacks for few labels: hiding most of them, and pseudo-labels for those without."""

from __future__ import annotations

from typing import Any

from tensorgraph.errors import ConfigError


class FewLabels:
    """Trains on the labels of a ``share`` of the training images, drawn from each class by
    ``seed``, at least one of each; or on those that a ``listed`` manifest gives, by the images'
    names in split.csv. Of the other images only the pixels are used.

    Of validation the same share is known, or ``val`` of it, 0 being none. ``images`` an epoch, each
    labelled one several times, make epochs of fewer labels as long as others.
    """

    def __init__(
        self,
        share: float = 0.05,
        seed: int = 0,
        val: float | None = None,
        images: int = 0,
        listed: str = "",
    ) -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"few_labels: share={share} is not above 0 and at most 1")
        if val is not None and not 0 <= val <= 1:
            raise ConfigError(f"few_labels: val={val} is not from 0 to 1")
        self.share, self.seed, self.val = share, seed, share if val is None else val
        self.images, self.listed = images, listed

    def on_start(self, run: Any) -> None:
        import numpy as np

        from tensorgraph_labelling import pool, sampling

        pool.require_classes("few_labels", run)
        dataset = run.feed.dataset
        train, labels = np.asarray(dataset.splits["train"]), dataset.labels
        if self.listed:
            known, labels = sampling.listed(self.listed, dataset)
        else:
            known = pool.kept(train, labels, self.share, self.seed)
        val = run.val_indices
        if len(val):
            val = pool.kept(val, labels, self.val, self.seed) if self.val else val[:0]
            if not len(val) and run.settings.train.patience is not None:
                raise ConfigError("few_labels: val=0 leaves train.patience nothing to go by")
        hidden = {"train": known, pool.UNLABELLED: np.setdiff1d(train, known), "val": val}
        pool.change(run, labels=labels, splits={**dataset.splits, **hidden})
        run.train_indices, run.val_indices = known, val
        if self.images:
            run.train_indices = np.resize(np.random.default_rng(0).permutation(known), self.images)


class PseudoLabels:
    """From epoch ``start`` on, each epoch also trains on images without a label of which the model
    is sure, with its own answer for their label (Lee, 2013).

    Sure is a probability of at least ``threshold``, asked after each epoch. At most ``most`` times
    as many as with a label take part in an epoch. It comes after ``few_labels`` in the list of
    callbacks.
    """

    def __init__(self, start: int = 5, threshold: float = 0.95, most: float = 1.0) -> None:
        if start < 1 or not 0 < threshold <= 1 or most <= 0:
            raise ConfigError(
                f"pseudo_labels: start={start} is not at least 1, threshold={threshold} not above "
                f"0 and at most 1, or most={most} not above 0"
            )
        self.start, self.threshold, self.most = start, threshold, most
        self.feed: Any = None  # with the labels as they are
        self.sure: dict[str, Any] = {}  # images, and their labels: those of this epoch

    def state(self) -> dict[str, Any]:
        return self.sure

    def load_state(self, state: dict[str, Any]) -> None:
        self.sure = state

    def on_start(self, run: Any) -> None:
        from tensorgraph_labelling import pool

        pool.require_classes("pseudo_labels", run)
        self.feed, self.known = run.feed, run.train_indices
        self.unknown = pool.unlabelled(run)
        if not len(self.unknown):
            raise ConfigError(
                "pseudo_labels: every training image has its label; put few_labels before it"
            )
        self._use(run)

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        import numpy as np

        from tensorgraph_labelling import pool

        if run.progress.epoch < self.start:
            return
        p = pool.probabilities(run, self.unknown)
        found = np.flatnonzero(p.max(1) >= self.threshold)
        key = [run.settings.train.seed, run.progress.epoch]
        most = int(self.most * len(self.known))
        found = np.sort(np.random.default_rng(key).permutation(found)[:most])
        self.sure = {"images": self.unknown[found], "labels": p[found].argmax(1)}
        self._use(run)

    def _use(self, run: Any) -> None:
        import numpy as np

        from tensorgraph_labelling import pool

        if self.sure:
            labels = self.feed.dataset.labels.copy()
            labels[self.sure["images"]] = self.sure["labels"]
            pool.change(run, labels=labels)
            run.train_indices = np.concatenate([self.known, self.sure["images"]])

    def on_end(self, run: Any) -> None:
        if self.feed is not None:
            run.feed, run.train_indices = self.feed, self.known
