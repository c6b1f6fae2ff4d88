"""Pooling of channels-last images with 1 to 3 spatial axes, and its gradients.

``windows`` is the canonical form that the ops take: kernel_size, stride, padding, dilation, each a
number for every spatial axis, and ceil_mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph_numpy.windows import Axis

from tensorgraph_numba.kernels.lanes import BITS
from tensorgraph_numba.kernels.layout import described, images
from tensorgraph_numba.kernels.pool_windows import (
    fold_averages,
    fold_maxima,
    pick_maxima,
    unpool_averages,
    unpool_maxima,
)
from tensorgraph_numba.native import Call, bind

Scratch = Callable[[int], Any]


class _Grid:
    """The windows ``y`` of images ``x``, along the axes z, y, x; those that x lacks have size 1."""

    def __init__(self, name: str, x: Any, y: Any, windows: Any) -> None:
        images(name, x, y)
        lacking = 5 - x.ndim
        given = [Axis(*each) for each in zip(x.shape[2:], *windows[:4])]
        self.axes = [Axis(1, 1, 1, 0, 1)] * lacking + given
        wanted = [axis.windows(axis.padding, windows[4]) for axis in given]
        if x.ndim > 5 or x.dtype != y.dtype or y.shape != (*x.shape[:2], *wanted):
            raise ValueError(
                f"{name}: the windows of {described(x)} are {[*x.shape[:2], *wanted]} for "
                f"{windows}, not {described(y)}"
            )
        self.reach = [1] * lacking + wanted
        self.channels = x.shape[1]
        depth, height, width = (axis.size for axis in self.axes)
        self.strides = [height * width * self.channels, width * self.channels, self.channels]
        self.taps = [axis.dilation * s for axis, s in zip(self.axes, self.strides)]
        self.width = width * self.channels
        self.places = [self.channels, *self.reach, *self.taps]
        self.tables = [self._table(i) for i in range(3)]
        tiled = all(
            axis.k == axis.stride and axis.k * count == axis.size and not axis.padding
            for axis, count in zip(self.axes, self.reach)
        )
        self.exact = tiled and all(axis.dilation == 1 or axis.k == 1 for axis in self.axes)
        self.zeros = 0 if self.exact else depth * height * self.width
        self.overlaps = [(axis.k - 1) * axis.dilation >= axis.stride for axis in self.axes]

    def _table(self, i: int) -> list[int]:
        """For each window along an axis: where the first element lies that it meets, how many."""
        axis, words = self.axes[i], []
        for w in range(self.reach[i]):
            start = w * axis.stride - axis.padding
            places = range(start, start + axis.k * axis.dilation, axis.dilation)
            met = [at for at in places if 0 <= at < axis.size]
            words += [met[0] * self.strides[i] if met else 0, len(met)]
        return words

    def row(self) -> list[int]:
        """How windows lie along one row: elements of a window, step between windows, elements of
        the image, of padding before it, and of all that windows reach."""
        axis, reach = self.axes[2], self.reach[2]
        before = axis.padding * self.channels
        last = (reach - 1) * axis.stride + (axis.k - 1) * axis.dilation + 1
        length = max(last * self.channels, before + self.width)
        return [axis.k, axis.stride * self.channels, self.width, before, length]

    def shares(self, count_include_pad: bool) -> list[float]:
        """One over how many elements the sum of a window is of, along each axis."""
        shares = []
        for axis, count in zip(self.axes, self.reach):
            padding = axis.padding if count_include_pad else 0
            for w in range(count):
                start = w * axis.stride - axis.padding
                stop = min(start + axis.k, axis.size + padding)
                shares.append(1 / (stop - max(start, -padding)))
        return shares


def _samples(*arrays: Any) -> list[int]:
    """How many samples there are, and how far apart they lie in each array."""
    return [len(arrays[0]), *[x.strides[0] // x.itemsize for x in arrays]]


def _same(name: str, *pairs: tuple[Any, Any]) -> None:
    """Check that arrays are images of the same shape and dtype."""
    for x, y in pairs:
        images(name, y)
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            raise ValueError(f"{name}: {described(y)} does not stand beside {described(x)}")


def _bound(kernel: Any, arrays: Sequence[Any], words: list[Any], tables: list[Any]) -> list[Call]:
    """The call, where there is something to do: behind the words stand where each table begins,
    then the tables."""
    if not all(x.size for x in arrays):
        return []
    at = 2 * len(arrays) + len(words) + len(tables)
    starts = []
    for table in tables:
        starts.append(at)
        at += len(table)
    flat = [word for table in tables for word in table]
    return [bind(kernel, arrays[0].dtype.name, *arrays, *words, *starts, *flat)]


def max_pool(x: Any, out: Any, *, windows: Any, scratch: Scratch) -> list[Call]:
    """The largest element of each window of ``x``; NaN where one is."""
    grid = _Grid("max_pool", x, out, windows)
    return _folded(fold_maxima, grid, x, out, scratch, [])


def avg_pool(
    x: Any, out: Any, *, windows: Any, count_include_pad: bool, scratch: Scratch
) -> list[Call]:
    """The average of each window of ``x``."""
    grid = _Grid("avg_pool", x, out, windows)
    return _folded(fold_averages, grid, x, out, scratch, grid.shares(count_include_pad))


def spatial_sum(x: Any, out: Any, *, scale: float, scratch: Scratch) -> list[Call]:
    """``scale`` times the sum of ``x`` (N, C, …) over its spatial axes; ``out`` is (N, C) or has
    these axes with size 1."""
    grid, wide = _whole("spatial_sum", x, out)
    return _folded(fold_averages, grid, x, wide, scratch, [1.0, 1.0, scale])


def _whole(name: str, x: Any, y: Any) -> tuple[_Grid, Any]:
    """One window over each image, and what belongs to it, with spatial axes."""
    if y.shape[:2] != x.shape[:2] or y.size != math.prod(x.shape[:2]):
        raise ValueError(
            f"{name}: {described(y)} is not one number for each channel of {described(x)}"
        )
    axes = x.ndim - 2
    wide = y.reshape(y.shape[:2])[(..., *[None] * axes)]
    windows = (x.shape[2:], (1,) * axes, (0,) * axes, (1,) * axes, False)
    return _Grid(name, x, wide, windows), wide


def _folded(
    kernel: Any, grid: _Grid, x: Any, out: Any, scratch: Scratch, shares: list[float]
) -> list[Call]:
    words = [*_samples(x, out), *grid.places, *grid.row()]
    row = scratch(words[-1] + BITS // 8 // x.itemsize)
    return _bound(kernel, (x, out, row), words, [*grid.tables[:2], shares])


def max_pool_input(
    y: Any, x: Any, maxima: Any, out: Any, *, windows: Any, scratch: Scratch
) -> list[Call]:
    """Each element of ``y`` where its window in ``x`` has the first of its maxima, else 0: writes
    all of ``out``."""
    grid = _Grid("max_pool_input", x, y, windows)
    _same("max_pool_input", (x, out), (y, maxima))
    squares = grid.exact and [axis.k for axis in grid.axes] == [1, 2, 2]
    left = scratch(grid.reach[2] * (BITS // 8 // x.itemsize))
    flags = [grid.zeros, squares, any(grid.overlaps)]
    words = [*_samples(y, x, maxima, out), *grid.places, *flags]
    return _bound(unpool_maxima, (y, x, maxima, out, left), words, grid.tables)


def max_pool_pick(values: Any, x: Any, maxima: Any, out: Any, *, windows: Any) -> list[Call]:
    """The elements of ``values`` that stand where ``x`` has the first maximum of each window."""
    grid = _Grid("max_pool_pick", x, out, windows)
    _same("max_pool_pick", (x, values), (out, maxima))
    words = [*_samples(values, x, maxima, out), *grid.places]
    return _bound(pick_maxima, (values, x, maxima, out), words, grid.tables)


def avg_pool_input(
    y: Any, out: Any, *, windows: Any, count_include_pad: bool, scratch: Scratch
) -> list[Call]:
    """Each element of ``y`` shared out among its window: writes all of ``out``."""
    grid = _Grid("avg_pool_input", out, y, windows)
    return _spread(grid, y, out, scratch, grid.shares(count_include_pad))


def spatial_spread(y: Any, out: Any, *, scale: float, scratch: Scratch) -> list[Call]:
    """``scale * y`` in all spatial positions of ``out``: what ``spatial_sum`` is the adjoint of."""
    grid, wide = _whole("spatial_spread", out, y)
    return _spread(grid, wide, out, scratch, [1.0, 1.0, scale])


def _spread(grid: _Grid, y: Any, out: Any, scratch: Scratch, shares: list[float]) -> list[Call]:
    *rows, along = grid.overlaps
    words = [*_samples(y, out), *grid.places, *grid.row(), grid.zeros, along, any(rows)]
    row = scratch(grid.row()[-1] + BITS // 8 // out.itemsize)
    return _bound(unpool_averages, (y, out, row), words, [*grid.tables[:2], shares])
