"""The augmentation ``plugin_name``."""

from collections.abc import Callable

import tensorgraph as tg
from tensorgraph.errors import ConfigError


def plugin_name(std: float = 0.05) -> Callable[[tg.Tensor, tg.Tensor], tg.Tensor]:
    """Adds normal noise of standard deviation ``std`` to each pixel. All randomness comes
    from the key, four 32-bit words: the same key makes the same change, on every backend."""
    if not std >= 0:
        raise ConfigError(f"plugin_name: std={std} is not a number from 0 on")

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        noise = tg.ops.normal(images.shape, std=std, dtype=images.dtype, key=key)
        return images + noise

    return augment
