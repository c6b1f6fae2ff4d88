"""What augmentations share: numbers drawn for each image, checks of options, what asks for care."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorgraph as tg
from tensorgraph.errors import ConfigError

Augment: TypeAlias = Callable[[tg.Tensor, tg.Tensor], tg.Tensor]


def cautioned(why: str) -> Callable[[Any], Any]:
    """Marks a factory whose changes may alter what an image means: a run file must choose it
    knowingly."""

    def mark(factory: Any) -> Any:
        factory.caution = why
        return factory

    return mark


def drawn(images: tg.Tensor, key: tg.Tensor, count: int, low: float = -1.0) -> list[tg.Tensor]:
    """``count`` numbers from ``low`` up to 1 for each image, each (n, 1, …) to go with images."""
    n, *rest = images.shape
    numbers = tg.ops.uniform((n, count), low=low, high=1.0, dtype=images.dtype, key=key)
    return [tg.ops.reshape(numbers[:, i], shape=(n, *[1] * len(rest))) for i in range(count)]


def chance(images: tg.Tensor, key: tg.Tensor, p: float) -> tg.Tensor:
    """Whether an image is changed, (n, 1, …) of bool."""
    return drawn(images, key, 1, low=0.0)[0] < p


def two_keys(key: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    """Two keys of streams of their own, from one or from that of each image."""
    if key.ndim == 2:
        words = tg.ops.random_bits_each(key, shape=(key.shape[0], 2, 4))
        return words[:, 0], words[:, 1]
    words = tg.ops.random_bits(key, shape=(2, 4))
    return words[0], words[1]


def within(name: str, low: float, high: float, **options: float) -> None:
    """Each option must be a number from ``low`` to ``high``."""
    for option, value in options.items():
        if not low <= value <= high:
            raise ConfigError(f"{name}: {option} = {value} is not a number from {low} to {high}")
