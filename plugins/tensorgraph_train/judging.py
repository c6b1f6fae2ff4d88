"""Validation: the figures of a run's weights, and the best of them kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorgraph as tg
from tensorgraph_train import checkpoint, scores


@contextmanager
def weights(run: Any) -> Iterator[None]:
    """The model with the weights that are judged and kept: its own, or its twin's."""
    if run.twin is None:
        yield
        return
    own = checkpoint.host(run.model.state())
    run.model.load_state(checkpoint.host(run.twin.state()))
    try:
        yield
    finally:
        run.model.load_state(own)


def figures(run: Any) -> dict[str, float]:
    """Of validation; nothing without validation images."""
    if not len(run.val_indices):
        return {}
    with weights(run):
        return _figures(run)


def _figures(run: Any) -> dict[str, float]:
    progress, train = run.progress, run.settings.train
    found, loss = scores.run(
        run.answer, run.infer_answer, run.source, run.val_indices, run.loss, often=True
    )
    record = {"val_loss": loss}
    value = -loss
    if train.metric != "loss":
        metric, data = tg.metrics[train.metric], run.feed.dataset
        found = scores.probabilities(found, data.task)
        value = record[f"val_{train.metric}"] = float(metric(found, data.labels[run.val_indices]))
        if not getattr(metric, "larger_is_better", True):
            value = -value
    best, best_loss = progress.best_value, progress.best_loss
    if best is None or best_loss is None or (value, -loss) > (best, -best_loss):
        progress.best_value, progress.best_loss = value, loss
        progress.best_epoch, progress.stale = progress.epoch + 1, 0
        run.best = checkpoint.host(run.model.state())
        checkpoint.save_model(run.folder, run.card, run.best)
    else:
        progress.stale += 1
        progress.stopped = train.patience is not None and progress.stale >= train.patience
    return record
