"""A single image without a label, for prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorgraph.data import Dataset
from tensorgraph_vision.files import read
from tensorgraph_vision.formats import is_image


def accepts(path: Path) -> bool:
    return is_image(path)


def load(
    path: Path, *, seed: int = 0, val: float = 0.0, test: float = 0.0, **options: Any
) -> Dataset:
    """One image, or the slices of a volume; ``options`` are those of ``files.read``."""
    images, files = read([path], [str(path)], **options)
    return Dataset(
        path.name,
        images,
        white=files.white,
        labels=None,
        classes=(),
        splits={},
        groups=files.groups,
        columns=files.columns,
        names=files.names,
        notes=tuple(files.notes),
    )
