"""The 1,797 UCI digits that come with the package: 8x8 pixels, values 0 to 16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.data import Dataset
from tensorgraph_vision.pixels import fit
from tensorgraph_vision.splits import TEST, VAL, split

FILE = Path(__file__).parent.parent / "data" / "digits.npz"
SEED = 0


def accepts(path: Path) -> bool:
    return False


def load(
    path: Path | None = None,
    *,
    seed: int = 0,
    val: float = VAL,
    test: float = TEST,
    resize: Any = None,
    channels: Any = None,
) -> Dataset:
    """The split is the same for every ``seed``, so that runs can be compared on one test part."""
    with np.load(FILE, allow_pickle=False) as stored:
        images, labels = stored["images"][:, None], stored["labels"].astype(np.int64)
    if resize is not None:
        images = images.astype(np.float32)  # 17 steps of grey are too few to interpolate in
    names = [f"digits[{i}]" for i in range(len(labels))]
    classes = tuple("0123456789")
    return Dataset(
        "digits",
        fit(images, resize, channels),
        white=16.0,
        labels=labels,
        classes=classes,
        splits=split(range(len(labels)), labels, names, classes, seed=SEED, val=val, test=test),
        names=names,
    )
