"""Mean teacher: a callback by which a model learns from images without a label."""

from __future__ import annotations

import copy
import math
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError


class MeanTeacher:
    """The model also learns to say of every training image, with a label or without, what its
    teacher says: the moving average of its own weights (Tarvainen and Valpola, 2017).

    Both see ``batch`` images in each step, as many as the run's where it is 0, each with
    augmentation and dropout of its own; the squared difference of their probabilities counts
    ``weight`` times. The weight rises from next to nothing during the share ``ramp`` of the run.
    The teacher is what validation measures and what is kept. It comes after ``few_labels``.
    """

    def __init__(
        self, weight: float = 1.0, decay: float = 0.99, ramp: float = 0.25, batch: int = 0
    ) -> None:
        if weight <= 0 or not 0 <= decay < 1 or not 0 <= ramp <= 1 or batch < 0:
            raise ConfigError(
                f"mean_teacher: weight={weight} is not above 0, decay={decay} not from 0 up to, "
                f"but not, 1, ramp={ramp} not from 0 to 1, or batch={batch} below 0"
            )
        self.weight, self.decay, self.ramp, self.batch = weight, decay, ramp, batch
        self.teacher: Any = None
        self.loaded: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        if self.teacher is None:
            return self.loaded
        return {name: x.numpy() for name, x in self.teacher.state().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.loaded = state
        if self.teacher is not None:
            self.teacher.load_state(state)

    def on_start(self, run: Any) -> None:
        from tensorgraph_labelling import pool

        pool.require_classes("mean_teacher", run)
        self.batches = pool.Batches(run, self.batch)
        run.twin = self.teacher = copy.deepcopy(run.model).freeze()
        if self.loaded:
            self.teacher.load_state(self.loaded)

    def extra_inputs(self, run: Any) -> tuple[tg.Tensor, ...]:
        """A batch twice, the weight of what is asked of it, and how slowly the teacher follows."""
        done, epochs = run.progress, run.settings.train.epochs
        steps = done.epoch * run.batches + done.batch
        passed = steps / (epochs * run.batches)
        left = max(0.0, 1 - passed / self.ramp) if self.ramp else 0.0
        numbers = self.weight * math.exp(-5 * left**2), min(1 - 1 / (steps + 1), self.decay)
        for (_, own), (_, twin) in zip(run.model.layers(), self.teacher.layers(), strict=True):
            twin.training = own.training  # what is frozen is in evaluation mode
        images = run.images(self.batches.next(run), 1, 2)
        return *images, *(tg.tensor(x, dtype=run.feed.dtype) for x in numbers)

    def extra_loss(
        self, run: Any, x: tg.Tensor, other: tg.Tensor, weight: tg.Tensor, decay: tg.Tensor
    ) -> tg.Tensor:
        with tg.no_grad():
            for own, twin in zip(run.model.parameters(), self.teacher.parameters(), strict=True):
                twin.assign(twin * decay + own * (1 - decay))
            said = tg.ops.softmax(self.teacher(other), axis=1)
        return weight * tg.ops.mse_loss(tg.ops.softmax(run.model(x), axis=1), said)
