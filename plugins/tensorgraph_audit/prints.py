"""What the checks need of each image, gathered in one pass: digests, thumbnails, borders."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg

COARSE, FINE = {2: 8, 3: 5}, {2: 32, 3: 12}  # sides of the thumbnails of images and of volumes
CORNER = 8  # a corner is the eighth part of a side
BYTES = 1 << 26  # of the images that are held at a time


class Prints(NamedTuple):
    """Of N images."""

    digests: Any  # (N,) bytes: equal for images of equal pixels
    coarse: Any  # (N, n) float32: a thumbnail, of mean 0 and length 1
    fine: Any  # (N, m) float16: a larger one, likewise
    border: Any  # (N, 12): mean and maximum of each corner, mean of each edge between them


def prints(dataset: tg.Dataset) -> Prints:
    images, found = dataset.images, []
    one = int(np.prod(images.shape[1:])) * 8
    step = max(1, BYTES // one)
    for start in range(0, len(images), step):
        raw = np.asarray(images[np.arange(start, min(start + step, len(images)))])
        x = np.nan_to_num(raw.mean(1, dtype=np.float32) / np.float32(dataset.white))
        axes = x.ndim - 1
        found.append(
            (
                np.array([hashlib.blake2b(i.tobytes(), digest_size=16).digest() for i in raw]),
                _unit(shrunk(x, COARSE[axes])),
                _unit(shrunk(x, FINE[axes])).astype(np.float16),
                _border(x),
            )
        )
    return Prints(*map(np.concatenate, zip(*found)))


def shrunk(x: Any, side: int) -> Any:
    """Means of blocks, so that no axis of the images is longer than ``side``."""
    for axis in range(1, x.ndim):
        size = x.shape[axis]
        if size > side:
            edges = np.linspace(0, size, side + 1).astype(np.int64)
            widths = np.diff(edges).astype(np.float32)
            x = np.add.reduceat(x, edges[:-1], axis)
            x /= widths.reshape([-1 if k == axis else 1 for k in range(x.ndim)])
    return x


def _unit(x: Any) -> Any:
    """Rows of mean 0 and length 1, so that neither brightness nor contrast counts; a row that is
    the same all over is 0."""
    x = x.reshape(len(x), -1).astype(np.float32)
    x = x - x.mean(1, keepdims=True)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.where(length > 1e-4, x / np.maximum(length, 1e-4), np.float32(0))


def _border(x: Any) -> Any:
    height, width = x.shape[-2:]
    h, w = max(1, height // CORNER), max(1, width // CORNER)
    over = tuple(range(1, x.ndim))
    ends = [(slice(0, h), slice(-h, None)), (slice(0, w), slice(-w, None))]
    corners = [x[..., rows, columns] for rows in ends[0] for columns in ends[1]]
    edges = [x[..., rows, w:-w] for rows in ends[0]] + [x[..., h:-h, part] for part in ends[1]]
    levels = [*(c.mean(over) for c in corners), *(c.max(over) for c in corners)]
    return np.stack([*levels, *(e.mean(over) for e in edges if e.size)], 1)
