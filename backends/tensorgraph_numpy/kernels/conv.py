"""Convolution as copies of windows (im2col) and matrix products, in shards side by side.

With images as (C, spatial…, N) in memory, the windows are the columns of a matrix
(C·k…, out…·N): the output is filters @ columns, the filters' gradient gradient @ columns^T, and the
input's gradient the convolution of the padded gradient with turned filters, or, where that would be
more work, filters^T @ gradient, whose rows are added up where they came from. The columns are made
for a few rows of the output at a time, so that they stay in the cache.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tensorgraph import Kernel
from tensorgraph.spec import Shaped
from tensorgraph_numpy.layout import from_memory, padded, to_memory
from tensorgraph_numpy.memory import scratch
from tensorgraph_numpy.threads import POOL, shards
from tensorgraph_numpy.windows import Axis

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

COLUMN_BYTES = 3 << 17  # of a block of columns: with its product it stays in a core's L2 cache
GRADIENT_BYTES = 1 << 22  # of a block of columns to be added up: k² additions each, so fewer blocks
SHORT, LONG = 16, 1 << 20  # a sum over columns comes transposed between these: half of the time
SPREAD, FEW = 1.25, 8  # an input gradient that is a convolution: of this size, these channels
PRODUCTS_PER_SECOND = 3e10  # of one thread, to guess whether a task is worth sharing
BYTES_PER_SECOND = 4e9


def _supports(x: Shaped, y: Shaped, *, groups: int, **_: Any) -> bool:
    return groups == 1 and x.size > 0 and y.size > 0


def _seconds(products: int, column_bytes: int) -> float:
    return products / PRODUCTS_PER_SECOND + column_bytes / BYTES_PER_SECOND


class _Columns:
    """The windows of an image in memory (C, padded…, N) as the columns of a matrix."""

    def __init__(self, x: Any, k: Ints, out: Ints, stride: Ints, dilation: Ints) -> None:
        c, n = x.shape[0], x.shape[-1]
        steps = x.strides
        spans = zip(steps[1:-1], dilation)
        jumps = zip(steps[1:-1], stride)
        self.count = c * math.prod(k)
        self.row = math.prod(out[1:]) * n  # columns in one row of the output
        self.size = self.count * self.row * out[0]
        self.direct = math.prod(k) * math.prod(stride) == 1  # the columns are the pixels
        self.x = x
        self.windows = as_strided(
            x,
            (c, *k, *out, n),
            (steps[0], *[s * d for s, d in spans], *[s * j for s, j in jumps], steps[-1]),
            writeable=False,
        )
        self.lead = (slice(None),) * (1 + len(k))

    def seconds(self, filters: int) -> float:
        return _seconds(self.size * filters, self.size * self.x.itemsize)

    def blocks(self, rows: range, filters: int) -> Iterator[tuple[slice, Any]]:
        """The columns of these rows of the output, a block at a time, and where they belong.

        With large filters a block is larger: BLAS copies them for every block.
        """
        least = max(COLUMN_BYTES, self.count * filters * self.x.itemsize // 2)
        for block in _blocks(rows, self.count * self.row * self.x.itemsize, least):
            part = slice(block.start * self.row, block.stop * self.row)
            if self.direct:
                yield part, self.x.reshape(self.count, -1)[:, part]
                continue
            windows = self.windows[(*self.lead, slice(block.start, block.stop))]
            columns = scratch(windows.shape, self.x.dtype)
            np.copyto(columns, windows)
            yield part, columns.reshape(self.count, -1)


def _blocks(rows: range, row_bytes: int, block_bytes: int) -> Iterator[range]:
    step = max(1, block_bytes // row_bytes)
    for first in range(rows.start, rows.stop, step):
        yield range(first, min(rows.stop, first + step))


def _share(work: Callable[[int, range], None], parts: list[range]) -> None:
    POOL.run([functools.partial(work, i, part) for i, part in enumerate(parts)])


def conv(x: Any, w: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    f, _, *k = w.shape
    n, m = len(x), padded(x, padding)
    axes = map(Axis, m.shape[1:-1], k, stride, itertools.repeat(0), dilation)
    out = tuple(axis.windows(after=0) for axis in axes)
    columns = _Columns(m, tuple(k), out, stride, dilation)
    filters, y = np.ascontiguousarray(w).reshape(f, -1), np.empty((f, *out, n), x.dtype)
    flat = y.reshape(f, -1)

    def work(_: int, rows: range) -> None:
        for part, block in columns.blocks(rows, f):
            np.matmul(filters, block, out=flat[:, part])

    _share(work, shards(out[0], columns.seconds(f)))
    return from_memory(y)


def conv_weight(
    x: Any, y: Any, *, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    f, *out = y.shape[1:]
    columns = _Columns(padded(x, padding), size, tuple(out), stride, dilation)
    flat = to_memory(y).reshape(f, -1)
    parts = shards(out[0], columns.seconds(f))
    across = not SHORT < columns.count < LONG // f  # filters down, their elements across
    shape = (f, columns.count) if across else (columns.count, f)
    sums = np.zeros((len(parts), *shape), x.dtype)

    def work(i: int, rows: range) -> None:
        for part, block in columns.blocks(rows, f):
            target = sums[i] if part.start == rows.start * columns.row else np.empty_like(sums[i])
            if across:
                np.matmul(flat[:, part], block.T, out=target)
            else:
                np.matmul(block, flat[:, part].T, out=target)
            if target.base is not sums:
                sums[i] += target

    _share(work, parts)
    total = sums.sum(0) if len(parts) > 1 else sums[0]
    return np.ascontiguousarray(total if across else total.T).reshape(f, x.shape[1], *size)


def conv_input(
    y: Any, w: Any, *, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    n, f, *out = y.shape
    c, *k = w.shape[1:]
    spans = [(m - 1) * d for m, d in zip(k, dilation)]
    crops = [p > span for pair, span in zip(padding, spans) for p in pair]
    spread = math.prod(size) / math.prod(out)
    if c >= FEW and math.prod(stride) == 1 and not any(crops) and spread < SPREAD:
        turned = np.flip(w, tuple(range(2, w.ndim))).swapaxes(0, 1)
        around = tuple((span - p, span - q) for span, (p, q) in zip(spans, padding))
        return conv(y, turned, stride=stride, padding=around, dilation=dilation, groups=1)
    flat = to_memory(y).reshape(f, -1)
    filters = np.ascontiguousarray(w.reshape(f, -1).T).reshape(c, -1, f)
    axes = list(map(Axis, size, k, stride, [before for before, _ in padding], dilation))
    row = math.prod(out[1:]) * n
    direct = math.prod(k) * math.prod(stride) == 1 and not any(map(any, padding))
    x = np.empty((c, *size, n), y.dtype) if direct else np.zeros((c, *size, n), y.dtype)

    def work(_: int, channels: range) -> None:
        own = slice(channels.start, channels.stop)
        matrix, target = filters[own].reshape(-1, f), x[own]
        if direct:
            np.matmul(matrix, flat, out=target.reshape(len(channels), -1))
            return
        for rows in _blocks(range(out[0]), len(matrix) * row * y.itemsize, GRADIENT_BYTES):
            columns = scratch((len(channels), *k, len(rows), *out[1:], n), y.dtype)
            part = flat[:, rows.start * row : rows.stop * row]
            np.matmul(matrix, part, out=columns.reshape(len(matrix), -1))
            reach = [rows, *map(range, out[1:])]
            for places in itertools.product(*map(Axis.places, axes, reach)):
                offset, seen, at = zip(*places)
                target[(slice(None), *seen)] += columns[(slice(None), *offset, *at)]

    cost = math.prod(k) * c * row * out[0]
    _share(work, shards(c, _seconds(cost * f, cost * y.itemsize)))
    return from_memory(x)


KERNELS = [
    Kernel("conv", "im2col", conv, _supports),
    Kernel("conv_weight", "im2col", conv_weight, _supports),
    Kernel("conv_input", "im2col", conv_input, _supports),
]
