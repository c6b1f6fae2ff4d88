"""Pooling along whole rows in memory: the batch is innermost, so no inner loop is short."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph.spec import Shaped
from tensorgraph_numpy.layout import from_memory, to_memory
from tensorgraph_numpy.threads import POOL, shards
from tensorgraph_numpy.windows import Axis

Ints = tuple[int, ...]

ELEMENTS_PER_SECOND = 1.5e9  # of one thread, in a pass over the image


def _supports(x: Shaped, *_: Any, **__: Any) -> bool:
    return x.size > 0


def _by_channels(work: Callable[[slice], None], x: Any, passes: int = 1) -> None:
    """Share the channels of ``x`` (C, …) in memory out among the threads."""
    parts = shards(len(x), passes * x.size / ELEMENTS_PER_SECOND)
    POOL.run([functools.partial(work, slice(part.start, part.stop)) for part in parts])


def _along(i: int, place: slice) -> tuple[slice, ...]:
    return (*[slice(None)] * (i + 1), place)


def _axes(size: Sequence[int], k: Ints, stride: Ints, padding: Ints, dilation: Ints) -> list[Axis]:
    return list(map(Axis, size, k, stride, padding, dilation))


def _folded(x: Any, axes: list[Axis], ceil_mode: bool, combine: Any, start: float) -> Any:
    """Combine the elements of each window, along one axis after the other: (C, …, N) in memory."""
    m = to_memory(x)
    reach = [axis.windows(axis.padding, ceil_mode) for axis in axes]
    y = np.empty((x.shape[1], *reach, len(x)), x.dtype)

    def work(own: slice) -> None:
        part = m[own]
        for i, (axis, count) in enumerate(zip(axes, reach)):
            last = i == len(axes) - 1
            shape = (*part.shape[: i + 1], count, *part.shape[i + 2 :])
            target = y[own] if last else np.empty(shape, x.dtype)
            _combine(part, axis, i, combine, start, target)
            part = target

    _by_channels(work, m)
    return y


def _combine(x: Any, axis: Axis, i: int, combine: Any, start: float, out: Any) -> None:
    """Along spatial axis ``i`` of (C, …, N)."""
    whole = slice(0, out.shape[i + 1])
    parts = [(x[_along(i, seen)], at) for _, seen, at in axis.places(range(whole.stop))]
    parts.sort(key=lambda part: part[1] != whole)
    if len(parts) > 1 and parts[1][1] == whole:  # two that all windows have: no need of a start
        combine(parts[0][0], parts[1][0], out=out)
        parts = parts[2:]
    else:
        out.fill(start)
    for part, at in parts:
        target = out[_along(i, at)]
        combine(target, part, out=target)


def max_pool(
    x: Any, *, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Any:
    axes = _axes(x.shape[2:], kernel_size, stride, padding, dilation)
    return from_memory(_folded(x, axes, ceil_mode, np.maximum, -math.inf))


def _hits(x: Any, maxima: Any, axes: Sequence[Axis]) -> Iterator[Any]:
    """For each element of a window of (C, …, N): the inputs in its place, the windows, and which
    of these have their first maximum there."""
    free = np.ones(maxima.shape, bool)
    windows = map(range, maxima.shape[1:-1])
    for places in itertools.product(*map(Axis.places, axes, windows)):
        _, seen, at = ((slice(None), *slices) for slices in zip(*places))
        hit = np.equal(x[seen], maxima[at])
        hit &= free[at]
        np.greater(free[at], hit, out=free[at])
        yield seen, at, hit


def _bits(x: Any) -> Any:
    """The same memory as integers: times a bool these are x or 0, even where x is infinite."""
    return x.view(f"i{x.itemsize}")


def max_pool_input(y: Any, x: Any, maxima: Any, *, windows: Any) -> Any:
    axes = _axes(x.shape[2:], *windows[:4])
    g, m, top = map(to_memory, (y, x, maxima))
    apart = all((axis.k - 1) * axis.dilation < axis.stride for axis in axes)
    out = np.zeros(m.shape, y.dtype)

    def work(own: slice) -> None:
        given, target = g[own], out[own]
        for seen, at, hit in _hits(m[own], top[own], axes):
            if apart:  # no element is in two windows
                np.multiply(_bits(given)[at], hit, out=_bits(target)[seen])
            else:
                target[seen] += np.multiply(_bits(given)[at], hit).view(g.dtype)

    _by_channels(work, m, passes=3)
    return from_memory(out)


def max_pool_pick(values: Any, x: Any, maxima: Any, *, windows: Any) -> Any:
    axes = _axes(x.shape[2:], *windows[:4])
    v, m, top = map(to_memory, (values, x, maxima))
    out = np.zeros(top.shape, values.dtype)

    def work(own: slice) -> None:
        given, target = v[own], out[own]
        for seen, at, hit in _hits(m[own], top[own], axes):
            np.copyto(target[at], given[seen], where=hit)

    _by_channels(work, m, passes=3)
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
    axes = _axes(x.shape[2:], kernel_size, stride, padding, (1,) * len(kernel_size))
    y = _folded(x, axes, ceil_mode, np.add, 0)
    return from_memory(_divided(y, axes, count_include_pad))


def _divided(y: Any, axes: Sequence[Axis], count_include_pad: bool) -> Any:
    """The sums of windows (C, …, N) over the numbers of their elements, in place."""
    for i, axis in enumerate(axes):
        beside = axis.padding if count_include_pad else 0
        starts = [j * axis.stride - axis.padding for j in range(y.shape[i + 1])]
        counts = [min(a + axis.k, axis.size + beside) - max(a, -beside) for a in starts]
        if len(set(counts)) == 1:
            y *= 1 / counts[0]
        else:
            y /= np.asarray(counts, y.dtype)[(slice(None), *[None] * (len(axes) - i))]
    return y


def avg_pool_input(y: Any, *, size: Ints, windows: Any, count_include_pad: bool) -> Any:
    axes = _axes(size, *windows[:4])
    g = _divided(np.array(to_memory(y)), axes, count_include_pad)
    for i, axis in enumerate(axes):
        x = np.zeros((*g.shape[: i + 1], axis.size, *g.shape[i + 2 :]), g.dtype)
        for _, seen, at in axis.places(range(g.shape[i + 1])):
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
