"""Pooling along whole rows in memory: the batch is innermost, so no inner loop is short."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph.ops.pool import Axis, Windows, window_axes
from tensorgraph.spec import Shaped, Spec
from tensorgraph_numpy.layout import from_memory, to_memory
from tensorgraph_numpy.threads import POOL, shards

Ints = tuple[int, ...]

ELEMENTS_PER_SECOND = 1e9  # of one thread, compared and stored


def _supports(x: Shaped, *_: Any, **__: Any) -> bool:
    return x.size > 0


def _by_channels(work: Callable[[slice], None], x: Any) -> None:
    """Share the channels of ``x`` (C, …) in memory out among the threads."""
    parts = shards(len(x), x.size / ELEMENTS_PER_SECOND)
    POOL.run([functools.partial(work, slice(part.start, part.stop)) for part in parts])


def _along(i: int, place: slice) -> tuple[slice, ...]:
    return (*[slice(None)] * (i + 1), place)


def _fold(x: Any, axes: Sequence[Axis], combine: Any, start: float, out: Any) -> None:
    """Combine the elements of each window, along one axis of (C, …) after the other, into ``out``."""
    for i, axis in enumerate(axes):
        shape = (*x.shape[: i + 1], axis.reach, *x.shape[i + 2 :])
        y = out if i == len(axes) - 1 else np.empty(shape, x.dtype)
        parts = [(x[_along(i, seen)], at) for seen, at in axis.offsets()]
        parts.sort(key=lambda part: part[1] != slice(0, axis.reach))  # those of all windows first
        done = 0
        if all(at == slice(0, axis.reach) for _, at in parts[:2]) and len(parts) > 1:
            combine(parts[0][0], parts[1][0], out=y)
            done = 2
        else:
            y.fill(start)
        for part, at in parts[done:]:
            target = y[_along(i, at)]
            combine(target, part, out=target)
        x = y


def _folded(x: Any, axes: Sequence[Axis], combine: Any, start: float) -> Any:
    m = to_memory(x)
    y = np.empty((x.shape[1], *[axis.reach for axis in axes], len(x)), x.dtype)
    _by_channels(lambda own: _fold(m[own], axes, combine, start, y[own]), m)
    return y


def max_pool(
    x: Any, *, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Any:
    windows = Windows(kernel_size, stride, padding, dilation, ceil_mode)
    axes = window_axes("max_pool", x, windows)
    return from_memory(_folded(x, axes, np.maximum, -math.inf))


def _hits(x: Any, maxima: Any, axes: Sequence[Axis]) -> Iterator[Any]:
    """For each element of a window of (C, …, N): the inputs in its place, the windows, and which
    of these have their first maximum there."""
    free = np.ones(maxima.shape, bool)
    for parts in itertools.product(*[axis.offsets() for axis in axes]):
        seen, at = ((slice(None), *slices) for slices in zip(*parts))
        hit = np.equal(x[seen], maxima[at])
        hit &= free[at]
        np.greater(free[at], hit, out=free[at])
        yield seen, at, hit


def _bits(x: Any) -> Any:
    """The same memory as integers: times a bool these are x or 0, even where x is infinite."""
    return x.view(f"i{x.itemsize}")


def max_pool_input(y: Any, x: Any, maxima: Any, *, windows: Windows) -> Any:
    axes = window_axes("max_pool_input", x, windows)
    g, m, top = map(to_memory, (y, x, maxima))
    apart = all((axis.k - 1) * axis.dilation < axis.stride for axis in axes)
    out = np.zeros(m.shape, y.dtype)

    def work(own: slice) -> None:
        target = out[own]
        for seen, at, hit in _hits(m[own], top[own], axes):
            if apart:  # no element is in two windows
                np.multiply(_bits(g[own][at]), hit, out=_bits(target)[seen])
            else:
                target[seen] += np.multiply(_bits(g[own][at]), hit).view(g.dtype)

    _by_channels(work, m)
    return from_memory(out)


def max_pool_pick(values: Any, x: Any, maxima: Any, *, windows: Windows) -> Any:
    axes = window_axes("max_pool_pick", x, windows)
    v, m, top = map(to_memory, (values, x, maxima))
    out = np.zeros(top.shape, values.dtype)

    def work(own: slice) -> None:
        for seen, at, hit in _hits(m[own], top[own], axes):
            np.copyto(out[own][at], v[own][seen], where=hit)

    _by_channels(work, m)
    return from_memory(out)


def avg_pool(
    x: Any,
    *,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Any:
    windows = Windows(kernel_size, stride, padding, (1,) * len(kernel_size), ceil_mode)
    axes = window_axes("avg_pool", x, windows)
    return from_memory(_divided(_folded(x, axes, np.add, 0), axes, count_include_pad))


def _divided(y: Any, axes: Sequence[Axis], count_include_pad: bool) -> Any:
    """The sums of windows (C, …, N) over the numbers of their elements, in place."""
    for i, axis in enumerate(axes):
        counts = axis.counts(count_include_pad)
        if len(set(counts)) == 1:
            y *= 1 / counts[0]
        else:
            y /= np.asarray(counts, y.dtype)[(slice(None), *[None] * (len(axes) - i))]
    return y


def avg_pool_input(y: Any, *, size: Ints, windows: Windows, count_include_pad: bool) -> Any:
    axes = window_axes("avg_pool_input", Spec((*y.shape[:2], *size)), windows)
    g = _divided(np.array(to_memory(y)), axes, count_include_pad)
    for i, axis in enumerate(axes):
        x = np.zeros((*g.shape[: i + 1], axis.size, *g.shape[i + 2 :]), g.dtype)
        for seen, at in axis.offsets():
            x[_along(i, seen)] += g[_along(i, at)]
        g = x
    return from_memory(g)


KERNELS = [
    Kernel("max_pool", "rows", max_pool, _supports),
    Kernel("max_pool_input", "rows", max_pool_input, _supports),
    Kernel("max_pool_pick", "rows", max_pool_pick, _supports),
    Kernel("avg_pool", "rows", avg_pool, _supports),
    Kernel("avg_pool_input", "rows", avg_pool_input, _supports),
]
