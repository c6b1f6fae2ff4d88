"""The stages that the kernels of Winograd's convolutions are made of.

All kernels take the same words, groups of them at fixed places, and read those that they need.

- Images X (input) and Y (output, or its gradient): array, height, width, bytes between samples,
  rows and columns; outputs of a tile per axis, rows and columns of padding before the first, tiles
  down and across; an array of the points of a tile, three rows of int64: row, column and bytes from
  the first point, a multiple of 8 of them.
- Weights W: array, input channels, filters, and whether the convolution runs backwards, from
  filters to channels with the taps in reverse.
- Planes V of X, D of Y and U of W, one per point of a transformed tile, in groups of columns:
  array, elements between rows, planes and groups, columns of a group. Rows are tiles in V and D,
  input channels in U; columns are channels.
- Work: array of int64 for two tables of addresses; zeros; an array for what nobody reads or only
  the same function; points of a transformed tile per axis.
- Numbers, each kernel's own.
"""

from __future__ import annotations

from typing import Any

from tensorgraph_numba.kernels import tile as tiles
from tensorgraph_numba.kernels.winograd_transforms import (
    input_2,
    input_4,
    itemsize,
    lanes,
    output_2,
    output_4,
    output_gradient_2,
    output_gradient_4,
    pointer,
    transpose,
    weight_2,
    weight_4,
    weight_gradient_2,
    weight_gradient_4,
)
from tensorgraph_numba.late import int64, uint64
from tensorgraph_numba.native import inner

tile: Any = tiles.tile  # for type checkers it has one argument more, the context
ROWS, VECTORS = 4, 2  # of a tile of products: 95 % of the peak with AVX-512 and with AVX2
POINTS = 40  # entries of a table of addresses: 36, and some that only make whole vectors
TAPS = 9
X, Y, W, V, D, U, WORK, NUMBERS = 0, 14, 28, 33, 39, 45, 51, 58


@inner
def panel_width(like: Any) -> int:
    """Columns of a tile of products: output channels that are worked on together."""
    return VECTORS * lanes(like)


@inner
def _locate(a: Any, at: int, q: int, shift: int, outside: int, found: Any) -> None:
    """Addresses of the points of tile ``q`` of an image, ``shift`` bytes on; ``outside`` where the
    image has none."""
    step, down, across = a[at + 7], a[at + 10], a[at + 11]
    sample = q // (down * across)
    i = q // across - sample * down
    j = q % across
    height, width = uint64(a[at + 2]), uint64(a[at + 3])
    y, x = i * step - a[at + 8], j * step - a[at + 9]
    origin = a[at] + shift + sample * a[at + 4] + y * a[at + 5] + x * a[at + 6]
    count = a[at + 13] // 3
    rows = pointer(a[at + 12], a[0])
    columns = pointer(a[at + 12] + 8 * count, a[0])
    offsets = pointer(a[at + 12] + 16 * count, a[0])
    for e in range(count):
        inside = (uint64(rows[e] + y) < height) & (uint64(columns[e] + x) < width)
        found[e] = origin + offsets[e] if inside else outside


@inner
def _aim(a: Any, at: int, found: Any, like: Any) -> None:
    """Addresses of the first row of each plane."""
    for e in range(a[WORK + 6] * a[WORK + 6]):
        found[e] = a[at] + e * a[at + 3] * itemsize(like)


@inner
def spread_input(a: Any, first: int, count: int, channels: int, like: Any) -> None:
    """Transform ``count`` tiles of X, from ``first`` on, into rows of V."""
    points, planes = pointer(a[WORK], a[0]), pointer(a[WORK] + 8 * POINTS, a[0])
    _aim(a, int64(V), planes, like)
    for s in range(count):
        _locate(a, int64(X), first + s, int64(0), a[WORK + 2], points)
        for c in range(0, channels, a[V + 5]):
            some = min(channels - c, a[V + 5])
            row = (s * a[V + 2] + c // a[V + 5] * a[V + 4]) * itemsize(like)
            if a[WORK + 6] == 6:
                input_4(points, c * itemsize(like), planes, row, some, 0, like)
            else:
                input_2(points, c * itemsize(like), planes, row, some, 0, like)


@inner
def spread_gradient(a: Any, first: int, count: int, filters: int, like: Any) -> None:
    """Transform ``count`` tiles of Y, a gradient, from ``first`` on, into rows of D."""
    points, planes = pointer(a[WORK], a[0]), pointer(a[WORK] + 8 * POINTS, a[0])
    _aim(a, int64(D), planes, like)
    for s in range(count):
        _locate(a, int64(Y), first + s, int64(0), a[WORK + 2], points)
        for c in range(0, filters, a[D + 5]):
            some = min(filters - c, a[D + 5])
            row = (s * a[D + 2] + c // a[D + 5] * a[D + 4]) * itemsize(like)
            if a[WORK + 6] == 6:
                output_gradient_4(points, c * itemsize(like), planes, row, some, 0, like)
            else:
                output_gradient_2(points, c * itemsize(like), planes, row, some, 0, like)


@inner
def collect_output(a: Any, first: int, count: int, column: int, filters: int, like: Any) -> None:
    """Transform ``count`` rows of D, products, to tiles of Y, from the tile ``first`` and the
    channel ``column`` on."""
    points, planes = pointer(a[WORK], a[0]), pointer(a[WORK] + 8 * POINTS, a[0])
    _aim(a, int64(D), planes, like)
    for s in range(count):
        _locate(a, int64(Y), first + s, column * itemsize(like), a[WORK + 4], points)
        row = s * a[D + 2] * itemsize(like)
        if a[WORK + 6] == 6:
            output_4(planes, row, points, 0, filters, 0, like)
        else:
            output_2(planes, row, points, 0, filters, 0, like)


@inner
def transform_weights(a: Any, panel: int, first: int, last: int, shift: int, like: Any) -> None:
    """Transform the weights of one panel of output channels, input channels ``first`` to ``last``,
    into U, ``shift`` elements on."""
    size, width, block = itemsize(like), panel_width(like), lanes(like)
    taps, planes = pointer(a[WORK], a[0]), pointer(a[WORK] + 8 * POINTS, a[0])
    _aim(a, int64(U), planes, like)
    column, filters, backwards = panel * width, a[W + 3], a[W + 4]
    tap, step = a[W + 2] * filters * size, filters * size
    count = min(width, (a[W + 2] if backwards else filters) - column)
    for e in range(TAPS):
        taps[e] = a[W] + e * tap + column * size
    if backwards:  # blocks are turned into scratch, one behind the other
        step = width * size
        for e in range(TAPS):
            taps[e] = a[WORK + 4] + (TAPS - 1 - e) * block * step
    for i in range(first, last, block):
        rows = min(block, last - i)
        start = i * step
        if backwards:
            start = 0
            for e in range(TAPS):
                for c in range(0, count, block):
                    transpose(
                        a[W] + e * tap + ((column + c) * filters + i) * size, filters * size,
                        min(block, count - c), rows,
                        a[WORK + 4] + e * block * step + c * size, step, like,
                    )  # fmt: skip
        for r in range(rows):
            row = (shift + (i - first + r) * a[U + 2]) * size
            if a[WORK + 6] == 6:
                weight_4(taps, start + r * step, planes, row, count, 0, like)
            else:
                weight_2(taps, start + r * step, planes, row, count, 0, like)


@inner
def collect_weights(
    a: Any, first: int, last: int, column: int, count: int, add: int, like: Any
) -> None:
    """Transform rows of U, gradients, to those of the weights of the input channels ``first`` to
    ``last`` and ``count`` filters from ``column`` on."""
    size = itemsize(like)
    taps, planes = pointer(a[WORK], a[0]), pointer(a[WORK] + 8 * POINTS, a[0])
    _aim(a, int64(U), planes, like)
    for e in range(TAPS):
        taps[e] = a[W] + e * a[W + 2] * a[W + 3] * size
    for c in range(first, last):
        row, to = (c - first) * a[U + 2] * size, (c * a[W + 3] + column) * size
        if a[WORK + 6] == 6:
            weight_gradient_4(planes, row, taps, to, count, add, like)
        else:
            weight_gradient_2(planes, row, taps, to, count, add, like)


@inner
def multiply(
    a: Any, group: int, first: int, count: int, panel: int, depth: int, width: int, add: int,
    like: Any,
) -> None:  # fmt: skip
    """For each point: ``count`` rows of a group of V, from ``first`` on, times ``depth`` rows of a
    panel, a group of U, to ``width`` columns of D."""
    v, u, d = pointer(a[V], like), pointer(a[U], like), pointer(a[D], like)
    for e in range(a[WORK + 6] * a[WORK + 6]):
        right = e * a[U + 3] + panel * a[U + 4]
        for s in range(0, count, ROWS):
            left = e * a[V + 3] + group * a[V + 4] + (first + s) * a[V + 2]
            out = e * a[D + 3] + s * a[D + 2]
            if width > lanes(like):
                tile(
                    ROWS, VECTORS, v, left, a[V + 2], 0, 0, 1, u, right, 0, 0, a[U + 2],
                    d, out, a[D + 2], 1, 1, depth, add,
                )  # fmt: skip
            else:
                tile(
                    ROWS, 1, v, left, a[V + 2], 0, 0, 1, u, right, 0, 0, a[U + 2],
                    d, out, a[D + 2], 1, 1, depth, add,
                )  # fmt: skip


@inner
def accumulate(
    a: Any, group: int, channels: int, panel: int, filters: int, first: int, count: int, add: int,
    like: Any,
) -> None:  # fmt: skip
    """For each point: the columns of a group of V, turned, times those of a group of D, over
    ``count`` rows from ``first`` on, to U."""
    v, u, d = pointer(a[V], like), pointer(a[U], like), pointer(a[D], like)
    for e in range(a[WORK + 6] * a[WORK + 6]):
        for k in range(0, filters, panel_width(like)):
            right = e * a[D + 3] + panel * a[D + 4] + first * a[D + 2] + k
            for c in range(0, channels, ROWS):
                left = e * a[V + 3] + group * a[V + 4] + first * a[V + 2] + c
                out = e * a[U + 3] + c * a[U + 2] + k
                if filters - k > lanes(like):
                    tile(
                        ROWS, VECTORS, v, left, 1, 0, 0, a[V + 2], d, right, 0, 0, a[D + 2],
                        u, out, a[U + 2], 1, 1, count, add,
                    )  # fmt: skip
                else:
                    tile(
                        ROWS, 1, v, left, 1, 0, 0, a[V + 2], d, right, 0, 0, a[D + 2],
                        u, out, a[U + 2], 1, 1, count, add,
                    )  # fmt: skip


@inner
def clear(a: Any, like: Any) -> None:
    """Zeros for what lies outside of an image."""
    zeros = pointer(a[WORK + 2], like)
    for i in range(a[WORK + 3]):
        zeros[i] = like * 0
