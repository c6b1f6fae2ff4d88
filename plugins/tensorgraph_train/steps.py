"""The functions that training and evaluation call for batch after batch, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import RecordingError

Step = Callable[..., Any]

FEWEST = 4  # batches of one size for which a plan is made
WORK = 5e10  # floating-point operations that take as long as making it, some seconds


def compiled(step: Step, wanted: bool) -> Step:
    """The step as ``tg.compile`` makes it, or, if that is not wanted, as it is."""
    if not wanted:
        return step
    recorded = tg.compile(step)

    def call(*arguments: Any) -> Any:
        try:
            return recorded(*arguments)
        except RecordingError as error:
            raise RecordingError(
                f"{error}\n  a model that cannot be recorded is trained as it is written with "
                "--set train.compile=false"
            ) from error

    return call


def inference(model: Callable[[tg.Tensor], tg.Tensor], wanted: bool) -> Step:
    """What the model says of a batch, compiled if that is wanted."""
    return compiled(lambda x: model(x), wanted)


def pays(model: tg.Layer, image: tg.Spec, images: int, batch: int) -> bool:
    """Whether it is worth a plan to ask the model once about so many images."""
    if images // batch < FEWEST:
        return False
    random = tg.config.random_state()  # dropout draws from it even where there are no values
    flops: int = model.summary(image).flops
    tg.config.set_random_state(random)
    return flops * images > WORK
