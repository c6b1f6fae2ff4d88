"""What Winograd's kernels are given: planes in memory, images and weights, as words of a call.

A plane holds one point of all transformed tiles, in groups of channels that are worked on together.
Rows and planes begin at a cache line; planes, and long rows, are an odd number of them apart: 36
planes whose distance is a power of two would share few sets of a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph_numba.kernels.winograd_stages import POINTS, ROWS, TAPS, VECTORS
from tensorgraph_numba.native import Call, bind
from tensorgraph_numba.vector import unit

Scratch = Callable[[int], Any]
Pair = tuple[int, int]
LINE = 64  # bytes
DEPTH = 64  # input channels that are worked on together, by channels
NOTHING = np.empty(0)
NO_IMAGE = (NOTHING, *(0,) * 10, NOTHING)


def up(count: int, multiple: int) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple


def balanced(total: int, most: int) -> int:
    """Tiles of a block, no more than ``most``, such that all blocks are of about the same size."""
    return up(-(-total // -(-total // most)), ROWS)


def share_of(count: int, thread: int, threads: int) -> Pair:
    """Where a thread's part of so many begins and ends."""
    return count * thread // threads, count * (thread + 1) // threads


def panel(dtype: Any) -> int:
    """Output channels that are worked on together."""
    return VECTORS * unit().lanes(dtype)


def panels(columns: int, dtype: Any) -> int:
    """How many panels so many output channels are."""
    return -(-columns // panel(dtype))


def _steps(rows: int, group: int, dtype: Any) -> Pair:
    """Elements between rows and between planes."""
    line = LINE // np.dtype(dtype).itemsize
    row = up(up(group, panel(dtype)), line)
    if row > DEPTH and row // line % 2 == 0:
        row += line
    plane = up(rows, ROWS) * row
    return row, plane if plane // line % 2 else plane + line


def planes_size(points: int, rows: int, columns: int, group: int, dtype: Any) -> int:
    """Elements that planes take."""
    return -(-columns // group) * points * _steps(rows, group, dtype)[1]


def planes(memory: Any, points: int, rows: int, columns: int, group: int) -> Any:
    """The view (groups, points, rows, columns of a group) of planes that begin where ``memory``
    does. Kernels touch the rest of the last rows too, up to whole tiles of products."""
    needed = planes_size(points, rows, columns, group, memory.dtype)
    if memory.size < needed or not memory.flags.c_contiguous:
        raise ValueError(
            f"winograd: memory of {memory.size} elements, strides {memory.strides}, is too small "
            f"for {points} planes of {rows} x {columns}: give {needed} dense ones"
        )
    row, plane = _steps(rows, group, memory.dtype)
    steps = (points * plane, plane, row, 1)
    return np.lib.stride_tricks.as_strided(
        memory,
        (-(-columns // group), points, rows, group),
        tuple(step * memory.itemsize for step in steps),
    )


def check_image(name: str, x: Any, shape: tuple[int | None, ...], dtype: str) -> None:
    """Refuse an array that is no image of that shape (None: any) with its channels side by side."""
    fits = x.ndim == len(shape) and all(b in (a, None) for a, b in zip(x.shape, shape)) and x.size
    beside = x.ndim == 4 and (x.shape[1] == 1 or x.strides[1] == x.itemsize)
    if not fits or not beside or x.dtype.name != dtype or not x.flags.aligned:
        raise ValueError(
            f"winograd: {name} is {x.dtype}{list(x.shape)} with strides {x.strides}, and "
            f"{dtype}{[n or '1 or more' for n in shape]} with the channels side by side is needed"
        )


def check_weights(name: str, w: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Refuse weights that are not (filters, channels, 3, 3), dense as (3, 3, channels, filters)."""
    turned = w.transpose(2, 3, 1, 0) if w.ndim == 4 else w
    dense = turned.flags.c_contiguous and turned.flags.aligned
    if w.shape != shape or w.dtype.name != dtype or not dense:
        raise ValueError(
            f"winograd: {name} is {w.dtype}{list(w.shape)} with strides {w.strides}, and "
            f"{dtype}{list(shape)}, dense as (3, 3, channels, filters), is needed"
        )


def image(x: Any, side: int, step: int, padding: Pair, tiles: Pair) -> tuple[Any, ...]:
    """Words of an image that is cut into ``tiles``, down and across, of ``side`` points per axis,
    ``step`` apart, the first of which begins ``padding`` before the image."""
    samples, _, rows, columns = x.strides
    i, j = np.divmod(np.arange(side * side), side)
    points = np.zeros((3, up(side * side, 8)), np.int64)
    points[:, : side * side] = i, j, i * rows + j * columns
    return (x, *x.shape[2:], samples, rows, columns, step, *padding, *tiles, points)


def _planes(v: Any) -> tuple[Any, ...]:
    if v is None:
        return NOTHING, 0, 0, 0, 0
    groups, points, rows = (step // v.itemsize for step in v.strides[:3])
    return v, rows, points, groups, v.shape[3]


def call(
    kernel: Any,
    dtype: str,
    side: int,
    scratch: Scratch,
    *numbers: int,
    x: tuple[Any, ...] = NO_IMAGE,
    y: tuple[Any, ...] = NO_IMAGE,
    w: Any = None,
    backwards: bool = False,
    v: Any = None,
    d: Any = None,
    u: Any = None,
    channels: int = 0,
) -> Call:
    """A call of one of Winograd's kernels; ``side``: points of a transformed tile per axis;
    ``channels``: of the images that it reads, for as many zeros."""
    taps = (NOTHING, 0, 0, 0) if w is None else (w, w.shape[1], w.shape[0], backwards)
    entries = 2 * POINTS * 8 // np.dtype(dtype).itemsize
    tables = scratch(entries)[:entries].view(np.int64)
    zeros = up(channels, LINE)
    spare = TAPS * unit().lanes(dtype) * panel(dtype)  # turned weights, or outputs outside of Y
    return bind(
        kernel, dtype, *x, *y, *taps, *_planes(v), *_planes(d), *_planes(u),
        tables, scratch(zeros)[:zeros], scratch(spare)[:spare], side, *numbers,
    )  # fmt: skip
