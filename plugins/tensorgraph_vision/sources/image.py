"""A single image without a label, for prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorgraph.data import Dataset
from tensorgraph_vision.files import MEMORY, is_image, read


def accepts(path: Path) -> bool:
    return path.is_file() and is_image(path)


def load(
    path: Path,
    *,
    seed: int = 0,
    val: float = 0.0,
    test: float = 0.0,
    resize: Any = None,
    channels: Any = None,
) -> Dataset:
    name = str(path)
    images, white, notes = read([path], [name], memory=MEMORY, resize=resize, channels=channels)
    return Dataset(
        path.name,
        images,
        white=white,
        labels=None,
        classes=(),
        splits={},
        names=[name],
        notes=tuple(notes),
    )
