"""Means and variances in one pass over memory, without the cancellation of E[x²] - E[x]².

Blocks of values are summed as deviations from the mean so far, and blocks, pieces and threads are
put together in float64: T. F. Chan, G. H. Golub, R. J. LeVeque, Updating formulae and a pairwise
algorithm for computing sample variances, Stanford STAN-CS-79-773, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorgraph_numba.kernels.lanes import (
    first,
    lanes,
    load,
    load_masked,
    pointer,
    spread,
    store,
)
from tensorgraph_numba.kernels.lanewise import select, total
from tensorgraph_numba.kernels.layout import described, images
from tensorgraph_numba.native import Call, bind, extent, inner, kernel

Scratch = Callable[[int], Any]

SIZE = 8  # bytes of a float64
BLOCK = 512  # values of a channel that are summed in the array's own precision


@inner
def _sum_block(
    x: Any, p: int, step: int, places: int, shift: Any, mask: Any, like: Any
) -> tuple[Any, Any]:
    """The sums of the deviations from ``shift`` and of their squares, of vectors ``step`` apart."""
    zero = spread(0.0, like)
    total_even, total_odd, square_even, square_odd = zero, zero, zero, zero
    for _ in range(places // 2):
        u = load_masked(x, p, mask) - shift
        v = load_masked(x, p + step, mask) - shift
        total_even, total_odd = total_even + u, total_odd + v
        square_even, square_odd = square_even + u * u, square_odd + v * v
        p += 2 * step
    if places % 2:
        u = load_masked(x, p, mask) - shift
        total_even, square_even = total_even + u, square_even + u * u
    return total_even + total_odd, square_even + square_odd


@kernel
def add_channel_moments(a: Any, like: Any) -> None:
    x, shifts = pointer(a[0], like), pointer(a[4], like)
    totals, squares = pointer(a[6], like), pointer(a[8], like)
    runs, run_step, places, step, channels = a[10], a[11], a[12], a[13], a[14]
    moments, means = pointer(a[2], np.float64(0)), pointer(a[2] + SIZE, np.float64(0))
    spreads = pointer(a[2] + SIZE * (1 + channels), np.float64(0))
    count = moments[0] if a[15] else 0.0
    for c in range(channels):
        if count == 0:
            means[c] = 0.0
            spreads[c] = 0.0
        shifts[c] = means[c]
    for i in range(runs):
        for begin in range(0, places, BLOCK):
            n = min(BLOCK, places - begin)
            for c in range(0, channels, lanes(like)):
                p, mask = i * run_step + begin * step + c, first(channels - c, like)
                shift = load(shifts, c)
                if count == 0:  # one value may be far from all others, the mean of some is less so
                    some, shift = min(n, 16), load_masked(x, p, mask)
                    apart, _ = _sum_block(x, p, step, some, shift, mask, like)
                    shift = shift + apart * spread(1.0 / some, like)
                    store(shifts, c, shift)
                sums = _sum_block(x, p, step, n, shift, mask, like)
                store(totals, c, sums[0])
                store(squares, c, sums[1])
            share, weight, cross = 1.0 / n, n / (count + n), count * n / (count + n)
            for c in range(channels):
                apart = shifts[c] + totals[c] * share - means[c]
                means[c] += apart * weight
                spreads[c] += squares[c] - totals[c] * share * totals[c] + apart * apart * cross
                shifts[c] = means[c]
            count += n
    moments[0] = count


@kernel
def merge_channel_moments(a: Any, like: Any) -> None:
    average, variance, channels, parts = pointer(a[0], like), pointer(a[2], like), a[4], a[5]
    for c in range(channels):
        count, mean, spread_of = 0.0, 0.0, 0.0
        for i in range(6, 6 + 2 * parts, 2):
            part = pointer(a[i], np.float64(0))
            if part[0] > 0:
                both, apart = count + part[0], part[1 + c] - mean
                spread_of += part[1 + channels + c] + apart * apart * count * part[0] / both
                mean += apart * part[0] / both
                count = both
        average[c] = mean if count > 0 else math.nan
        variance[c] = spread_of / count


@kernel
def find_row_moments(a: Any, like: Any) -> None:
    x, average, variance = pointer(a[0], like), pointer(a[2], like), pointer(a[4], like)
    rows, count = a[6], a[7]
    n = lanes(like)
    for row in range(rows):
        p = row * count
        shift = spread(x[p], like)
        apart, zero = spread(0.0, like), spread(0.0, like)
        for c in range(0, count, n):
            mask = first(count - c, like)
            apart = apart + select(mask, load_masked(x, p + c, mask) - shift, zero)
        mean = x[p] + total(apart) / count
        shift, square = spread(mean, like), spread(0.0, like)
        for c in range(0, count, n):
            mask = first(count - c, like)
            v = select(mask, load_masked(x, p + c, mask) - shift, zero)
            square = square + v * v
        average[row] = mean
        variance[row] = total(square) / count


def moments_size(channels: int) -> int:
    """How many float64 the moments of so many channels take: how many values there are of each,
    the means, and the sums of squared deviations from these."""
    return 1 + 2 * channels


def _moments(name: str, x: Any, *arrays: Any) -> None:
    for t in arrays:
        if t.dtype != np.float64 or t.shape != (moments_size(x.shape[1]),) or extent(t) != t.size:
            raise ValueError(
                f"{name}: the moments of {described(x)} are dense "
                f"float64[{moments_size(x.shape[1])}], not {described(t)}"
            )


def channel_moments(x: Any, moments: Any, *, accumulate: bool, scratch: Scratch) -> list[Call]:
    """The moments of each channel of ``x``, images with channels innermost or (N, C) with dense
    rows; added to those that are there where ``accumulate`` is set."""
    images("channel_moments", x)
    _moments("channel_moments", x, moments)
    channels, places = x.shape[1], math.prod(x.shape[2:])
    step = x.strides[0] // x.itemsize
    runs = [len(x), step, places, channels]
    if places == 1:
        runs = [1, 0, len(x), step]
    elif step == places * channels:
        runs = [1, 0, len(x) * places, channels]
    words = [*runs, channels, accumulate]
    rows = [scratch(channels) for _ in range(3)]
    return [bind(add_channel_moments, x.dtype.name, x, moments, *rows, *words)]


def merge_moments(parts: Sequence[Any], average: Any, variance: Any) -> list[Call]:
    """The means and variances of all channels from moments of parts: dense arrays of as many
    elements as there are channels. The variance is over the number of values; of none, NaN."""
    for t in (average, variance):
        if t.dtype != average.dtype or t.size != average.size or extent(t) != t.size:
            raise ValueError(
                f"merge_moments: {described(t)} is not dense, of one dtype and "
                f"{average.size} channels"
            )
    channels = average.size
    _moments("merge_moments", average.reshape(1, channels), *parts)
    words = average, variance, channels, len(parts), *parts
    return [bind(merge_channel_moments, average.dtype.name, *words)]


def row_moments(x: Any, average: Any, variance: Any, *, axes: int) -> list[Call]:
    """The mean and the variance of dense ``x`` over its last ``axes`` axes together; ``average``
    and ``variance`` are dense."""
    count = math.prod(x.shape[x.ndim - axes :])
    rows = math.prod(x.shape[: x.ndim - axes])
    for t, size in ((x, x.size), (average, rows), (variance, rows)):
        if t.dtype != x.dtype or t.size != size or not t.flags.c_contiguous or not count:
            raise ValueError(
                f"row_moments: takes {rows} dense rows of at least one element, of one dtype, and "
                f"as many means and variances, not {described(t)}"
            )
    if not rows:
        return []
    return [bind(find_row_moments, x.dtype.name, x, average, variance, rows, count)]
