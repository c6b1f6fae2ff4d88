"""What the run file's section [transfer] asks for: another plugin does it, as a walk."""

from __future__ import annotations

from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_train.runfile import Settings

PRETRAINED = "pretrained"  # weights that a package has for the model

Scaling = tuple[tuple[float, ...], tuple[float, ...]]


def scaling(settings: Settings, channels: int) -> Scaling | None:
    """Mean and standard deviation with which pre-trained weights were learnt."""
    if settings.transfer is None or settings.transfer.weights != PRETRAINED:
        return None
    known = tg.plugins.walk("published_weights", settings.model.name)
    if len(known.mean) != channels:
        raise ConfigError(
            f"transfer.weights = {PRETRAINED!r}: {settings.model.name} was trained on images of "
            f"{len(known.mean)} channels, and these have {channels}: "
            f"--set data.channels={len(known.mean)}"
        )
    return known.mean, known.std


def begun(settings: Settings, model: tg.Layer) -> Any:
    """The model with its weights loaded and its parts frozen; None where nothing is asked."""
    asked = settings.transfer
    if asked is None:
        return None
    found = tg.plugins.walk(
        "transfer",
        model,
        freeze=asked.freeze,
        lr=asked.lr,
        unfreeze=asked.unfreeze,
        keep=asked.keep,
    )
    if asked.weights is not None:
        found.load(asked.weights, settings.model.name, asked.head)
    found.begin(0)
    return found
