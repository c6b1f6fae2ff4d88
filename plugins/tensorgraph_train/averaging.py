"""A callback that averages weights over the last epochs of a run."""

from __future__ import annotations

from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_train import checkpoint

COUNT = "/epochs"  # beside the names of parameters, which have no slash


class WeightAverage:
    """The mean of the weights after each epoch from the share ``start`` of the run on: a flatter
    minimum than that of any one epoch (Izmailov et al., 2018).

    At the end the running statistics of batch norm are measured anew with it, and it is kept in
    place of the best epoch if validation says that it is better, or if there is no validation.
    """

    def __init__(self, start: float = 0.75) -> None:
        if not 0 <= start < 1:
            raise ConfigError(f"weight_average: start={start} is not from 0 up to, but not, 1")
        self.start = start
        self.mean: dict[str, Any] = {}
        self.count = 0

    def state(self) -> dict[str, Any]:
        return {**self.mean, COUNT: self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        self.mean = {name: x for name, x in state.items() if name != COUNT}
        self.count = int(state.get(COUNT, 0))

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        if run.progress.epoch <= self.start * run.settings.train.epochs:
            return
        self.count += 1
        for name, x in checkpoint.host(run.model.named_parameters()).items():
            before = self.mean.get(name, x)
            self.mean[name] = before + (x - before) / self.count

    def on_end(self, run: Any) -> None:
        progress = run.progress
        over = progress.stopped or progress.epoch == run.settings.train.epochs
        if not over or self.count < 2:
            return
        run.twin = None  # the mean is of the model's own weights
        run.model.load_state({**run.model.state(), **self.mean})
        run.model.train()
        with tg.no_grad():
            for batch in run.feed.batches(run.train_indices, run.settings.train.batch_size):
                run.model(run.feed.images(batch))
        last = progress.epoch
        run.validate()
        if progress.best_epoch is not None:
            progress.best_epoch = min(progress.best_epoch, last)
