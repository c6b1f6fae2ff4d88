"""Where the axes of images lie in memory: (C, spatial…, N), the batch innermost.

Behind the logical (N, C, spatial…) this was the fastest of the layouts measured in NumPy. Rows of
pixels times batch are long contiguous runs for im2col, for pooling (also with stride 2) and for
sums and scales of a channel, whatever the number of channels; with the channels innermost, the
inner loops of a first layer have 1 or 3 elements. A product of filters and columns writes straight
into a part of the result. NumPy's elementwise functions keep the layout.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Pairs = tuple[tuple[int, int], ...]


def to_memory(x: Any) -> Any:
    """(N, C, …) → a contiguous (C, …, N), without a copy where it is that already."""
    return np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))


def from_memory(x: Any) -> Any:
    """(C, …, N) → a view (N, C, …)."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def padded(x: Any, padding: Pairs) -> Any:
    """As ``to_memory``, with zeros around."""
    if not any(map(any, padding)):
        return to_memory(x)
    n, c, *size = x.shape
    wide = np.zeros((c, *[m + p + q for m, (p, q) in zip(size, padding)], n), x.dtype)
    wide[(slice(None), *[slice(p, p + m) for m, (p, _) in zip(size, padding)])] = x.transpose(
        *range(1, x.ndim), 0
    )
    return wide
