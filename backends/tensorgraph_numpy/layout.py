"""Where the axes of images lie in memory: (C, spatial…, N), the batch innermost.

Behind the logical (N, C, spatial…) this was the fastest of the layouts measured in NumPy. Rows of
pixels times batch are long contiguous runs for im2col, for pooling (also with stride 2) and for
sums and scales of a channel, whatever the number of channels; with the channels innermost, the
inner loops of a first layer have 1 or 3 elements. A product of filters and columns writes straight
into a part of the result. NumPy's elementwise functions keep the layout.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tensorgraph_numpy.memory import scratch
from tensorgraph_numpy.threads import POOL, shards

Pairs = tuple[tuple[int, int], ...]

WIDTH = 512  # columns turned at a time
ELEMENTS_PER_SECOND = 1e9


def to_memory(x: Any) -> Any:
    """(N, C, …) → a contiguous (C, …, N), without a copy where it is that already."""
    if len(x) >= 32 and x.size >= 1 << 17 and x.flags.c_contiguous:
        return _turned(x.reshape(len(x), -1)).reshape(*x.shape[1:], len(x))
    return np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))


def _turned(x: Any) -> Any:
    """The transpose of a large matrix, made by way of a small one.

    The rows often begin a multiple of 4 KiB apart, in the same few sets of the cache: read down
    the columns directly, they drive each other out, which takes two to five times as long.
    """
    out = np.empty(x.shape[::-1], x.dtype)

    def work(columns: range) -> None:
        for first in range(columns.start, columns.stop, WIDTH):
            part = slice(first, min(columns.stop, first + WIDTH))
            small = scratch((len(x), WIDTH + 16), x.dtype)[:, : part.stop - part.start]
            small[...] = x[:, part]
            out[part] = small.T

    parts = shards(x.shape[1], x.size / ELEMENTS_PER_SECOND)
    POOL.run([functools.partial(work, part) for part in parts])
    return out


def from_memory(x: Any) -> Any:
    """(C, …, N) → a view (N, C, …)."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def padded(x: Any, padding: Pairs) -> Any:
    """As ``to_memory``, with zeros around."""
    m = to_memory(x)
    if not any(map(any, padding)):
        return m
    c, *size, n = m.shape
    wide = np.zeros((c, *[k + p + q for k, (p, q) in zip(size, padding)], n), x.dtype)
    wide[(slice(None), *[slice(p, p + k) for k, (p, _) in zip(size, padding)])] = m
    return wide
