"""A folder with MNIST's four IDX files, gzipped or not (Fashion-MNIST, KMNIST, … as well)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.data import Dataset
from tensorgraph.errors import DataError
from tensorgraph_vision import claims
from tensorgraph_vision.pixels import fit
from tensorgraph_vision.splits import VAL, split

UNSIGNED_BYTES = 0x08


def accepts(path: Path) -> bool:
    return path.is_dir() and _find(path, "train-images", 3) is not None


def load(
    path: Path,
    *,
    seed: int = 0,
    val: float = VAL,
    test: float = 0.0,
    resize: Any = None,
    channels: Any = None,
) -> Dataset:
    """The test part is t10k; ``val`` is split off the training part."""
    parts = [_part(path, "train"), _part(path, "t10k")]
    if parts[0][0].shape[1:] != parts[1][0].shape[1:]:
        sizes = " and ".join(str(list(images.shape[1:])) for images, _ in parts)
        raise DataError(f"{path}: the training and the test images differ in size: {sizes}")
    images = np.concatenate([part[0] for part in parts])[:, None]
    labels = np.concatenate([part[1] for part in parts]).astype(np.int64)
    n = len(parts[0][1])
    names = [f"train[{i}]" for i in range(n)] + [f"test[{i}]" for i in range(len(labels) - n)]
    classes = tuple(map(str, range(int(labels.max(initial=0)) + 1)))
    splits = split(range(n), labels, names, classes, seed=seed, val=val, test=0.0)
    splits["test"] = np.arange(n, len(labels))
    return Dataset(
        path.resolve().name,
        fit(images, resize, channels),
        white=255.0,
        labels=labels,
        classes=classes,
        splits=splits,
        names=names,
    )


def _find(folder: Path, stem: str, axes: int) -> Path | None:
    for mark in "-.":
        for ending in ("", ".gz"):
            path = folder / f"{stem}{mark}idx{axes}-ubyte{ending}"
            if path.is_file():
                return path
    return None


def _part(folder: Path, part: str) -> tuple[Any, Any]:
    files = []
    for stem, axes in ((f"{part}-images", 3), (f"{part}-labels", 1)):
        path = _find(folder, stem, axes)
        if path is None:
            raise DataError(f"{folder} has no {stem}-idx{axes}-ubyte or {stem}-idx{axes}-ubyte.gz")
        files.append((path, _read(path, axes)))
    (path, images), (other, labels) = files
    if len(images) != len(labels):
        raise DataError(
            f"{path} has {len(images)} images, and {other.name} {len(labels)} labels: "
            "they do not belong together"
        )
    return images, labels


def _read(path: Path, axes: int) -> Any:
    """The array in an IDX file: two zero bytes, the type, the number of axes, sizes, data."""
    magic, start = bytes([0, 0, UNSIGNED_BYTES, axes]), 4 + 4 * axes
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            head = stream.read(start)
            if head[:4] != magic:
                raise DataError(
                    f"{path} is no IDX file of {axes} axes of unsigned bytes: it starts with "
                    f"{head[:4].hex(' ') or 'nothing'}, not {magic.hex(' ')}"
                )
            if len(head) < start:
                raise DataError(
                    f"{path} is cut short: it ends within its header, at {len(head)} bytes"
                )
            shape = struct.unpack(f">{axes}I", head[4:])
            values = math.prod(shape)
            if path.suffix == ".gz":
                _check(path, values)
                data = stream.read(values + 1)
            else:
                data = stream.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged or cut short: {error}") from error
    if len(data) != values:
        raise DataError(
            f"{path} is damaged or cut short: its header announces {list(shape)}, "
            f"{values:,} bytes, and {len(data):,} follow"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _check(path: Path, values: int) -> None:
    try:
        claims.check(values, path.stat().st_size)
    except DataError as error:
        raise DataError(f"{path} {error}") from None
