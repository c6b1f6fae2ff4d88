"""The kernels of pooling. Channels-last images, three spatial axes z, y, x; `pool` binds them.

A window is folded first over its rows, along whole rows of the image, then along one row, in which
elements beyond the image's edges stand as -inf or 0. Gradients go window by window. Every loop is
over vectors of channels. Tables hold, for each window along an axis, where the first element lies
that it meets in the image, and how many it meets.
"""

from __future__ import annotations

import math
from typing import Any

from tensorgraph_numba.kernels.lanes import (
    first,
    lanes,
    load,
    load_masked,
    pointer,
    spread,
    store,
    store_masked,
)
from tensorgraph_numba.kernels.lanewise import maximum, select
from tensorgraph_numba.native import inner, kernel, number


@inner
def _fill(out: Any, begin: int, count: int, value: float, like: Any) -> None:
    for c in range(0, count, lanes(like)):
        store_masked(out, begin + c, spread(value, like), first(count - c, like))


@inner
def _fold(u: Any, v: Any, averages: Any) -> Any:
    """The sum of two vectors, or where ``averages`` is None their maximum."""
    if averages is None:
        return maximum(u, v)
    return u + v


@inner
def _fold_rows(
    x: Any,
    start: int,
    counts: Any,
    steps: Any,
    row: Any,
    begin: int,
    width: int,
    how: Any,
    like: Any,
) -> None:
    """Fold ``counts[0] * counts[1]`` rows, ``steps`` apart, into ``row`` from ``begin`` on."""
    n = lanes(like)
    count = counts[0] * counts[1]
    second = start + (steps[1] if counts[1] > 1 else steps[0])
    for c in range(0, width, n):
        mask = first(width - c, like)
        v = load_masked(x, start + c, mask)
        if count > 1:
            v = _fold(v, load_masked(x, second + c, mask), how)
        store_masked(row, begin + c, v, mask)
    for i in range(2, count):
        q = start + i // counts[1] * steps[0] + i % counts[1] * steps[1]
        for c in range(0, width, n):
            mask = first(width - c, like)
            v = _fold(load(row, begin + c), load_masked(x, q + c, mask), how)
            store_masked(row, begin + c, v, mask)


@inner
def _fold_windows(a: Any, averages: Any, like: Any) -> None:
    x, out, row = pointer(a[0], like), pointer(a[2], like), pointer(a[4], like)
    samples, x_sample, out_sample, channels = a[6], a[7], a[8], a[9]
    reach_z, reach_y, reach_x, z_tap, y_tap = a[10], a[11], a[12], a[13], a[14]
    tap, taps, step, width, before, length = a[15], a[16], a[17], a[18], a[19], a[20]
    z_table, y_table, shares = a[21], a[22], a[23]
    beyond = -math.inf if averages is None else 0.0
    _fill(row, 0, length, beyond, like)
    for i in range(samples * reach_z * reach_y):
        y, z = i % reach_y, i // reach_y % reach_z
        sample = i // (reach_z * reach_y)
        counts = a[z_table + 2 * z + 1], a[y_table + 2 * y + 1]
        if counts[0] * counts[1] > 0:
            start = sample * x_sample + a[z_table + 2 * z] + a[y_table + 2 * y]
            _fold_rows(x, start, counts, (z_tap, y_tap), row, before, width, averages, like)
        else:  # dilated windows may meet padding alone
            _fill(row, before, width, beyond, like)
        begin = sample * out_sample + (z * reach_y + y) * reach_x * channels
        for c in range(0, channels, lanes(like)):
            mask = first(channels - c, like)
            p, q = begin + c, c
            for w in range(reach_x):
                v = load(row, q)
                if taps == 2:
                    v = _fold(v, load(row, q + tap), averages)
                elif taps == 3:
                    v = _fold(v, load(row, q + tap), averages)
                    v = _fold(v, load(row, q + 2 * tap), averages)
                else:
                    for j in range(1, taps):
                        v = _fold(v, load(row, q + j * tap), averages)
                if averages is not None:
                    share = number(a, shares + z) * number(a, shares + reach_z + y)
                    share *= number(a, shares + reach_z + reach_y + w)
                    v = v * spread(share, like)
                store_masked(out, p, v, mask)
                p += channels
                q += step


@kernel
def fold_maxima(a: Any, like: Any) -> None:
    _fold_windows(a, None, like)


@kernel
def fold_averages(a: Any, like: Any) -> None:
    _fold_windows(a, True, like)


@inner
def _give(
    x: Any, p: int, out: Any, q: int, v: Any, m: Any, mask: Any, adds: bool, like: Any
) -> Any:
    """Put ``v`` where ``x`` equals ``m``, else 0; what of ``v`` is left for other elements."""
    hit = load_masked(x, p, mask) == m
    zero = spread(0.0, like)
    given = select(hit, v, zero)
    if adds:
        given = given + load_masked(out, q, mask)
    store_masked(out, q, given, mask)
    return select(hit, zero, v)


@kernel
def unpool_maxima(a: Any, like: Any) -> None:
    """Squares of two by two that do not overlap go at once. Of other windows, one row of elements
    after the other; meanwhile ``left`` holds, a vector for each window, what of ``y`` is not given
    yet."""
    y, x, maxima = pointer(a[0], like), pointer(a[2], like), pointer(a[4], like)
    out, left = pointer(a[6], like), pointer(a[8], like)
    samples, y_sample, x_sample, m_sample, out_sample = a[10], a[11], a[12], a[13], a[14]
    channels, reach_z, reach_y, reach_x = a[15], a[16], a[17], a[18]
    z_tap, y_tap, tap, zeros, squares, adds = a[19], a[20], a[21], a[22], a[23] > 0, a[24] > 0
    z_table, y_table, x_table = a[25], a[26], a[27]
    n = lanes(like)
    for sample in range(samples):
        _fill(out, sample * out_sample, zeros, 0.0, like)
        for i in range(reach_z * reach_y):
            z, h = i // reach_y, i % reach_y
            start = a[z_table + 2 * z] + a[y_table + 2 * h]
            rows, across = a[z_table + 2 * z + 1] * a[y_table + 2 * h + 1], a[y_table + 2 * h + 1]
            for c in range(0, channels, n):
                mask = first(channels - c, like)
                window = sample * y_sample + i * reach_x * channels + c
                m_at = sample * m_sample + i * reach_x * channels + c
                p, q = sample * x_sample + start + c, sample * out_sample + start + c
                if squares:
                    for _ in range(reach_x):
                        v = load_masked(y, window, mask)
                        m = load_masked(maxima, m_at, mask)
                        v = _give(x, p, out, q, v, m, mask, False, like)
                        v = _give(x, p + tap, out, q + tap, v, m, mask, False, like)
                        s, t = p + y_tap, q + y_tap
                        v = _give(x, s, out, t, v, m, mask, False, like)
                        _give(x, s + tap, out, t + tap, v, m, mask, False, like)
                        window, m_at = window + channels, m_at + channels
                        p, q = p + 2 * tap, q + 2 * tap
                    continue
                for j in range(rows):
                    row = j // across * z_tap + j % across * y_tap
                    for w in range(reach_x):
                        v = load(left, w * n) if j else load_masked(y, window + w * channels, mask)
                        m = load_masked(maxima, m_at + w * channels, mask)
                        at = row + a[x_table + 2 * w]
                        for _ in range(a[x_table + 2 * w + 1]):
                            v = _give(x, p + at, out, q + at, v, m, mask, adds, like)
                            at += tap
                        store(left, w * n, v)


@kernel
def pick_maxima(a: Any, like: Any) -> None:
    values, x, maxima = pointer(a[0], like), pointer(a[2], like), pointer(a[4], like)
    out = pointer(a[6], like)
    samples, v_sample, x_sample, m_sample, out_sample = a[8], a[9], a[10], a[11], a[12]
    channels, reach_z, reach_y, reach_x = a[13], a[14], a[15], a[16]
    z_tap, y_tap, tap, z_table, y_table, x_table = a[17], a[18], a[19], a[20], a[21], a[22]
    for i in range(samples * reach_z * reach_y * reach_x):
        w, h = i % reach_x, i // reach_x % reach_y
        z = i // (reach_x * reach_y) % reach_z
        sample, window = i // (reach_x * reach_y * reach_z), i % (reach_x * reach_y * reach_z)
        start = a[z_table + 2 * z] + a[y_table + 2 * h] + a[x_table + 2 * w]
        counts = a[z_table + 2 * z + 1], a[y_table + 2 * h + 1], a[x_table + 2 * w + 1]
        for c in range(0, channels, lanes(like)):
            free = first(channels - c, like)
            mask = free
            m = load_masked(maxima, sample * m_sample + window * channels + c, mask)
            v = spread(0.0, like)
            for j in range(counts[0] * counts[1] * counts[2]):
                at = start + c + j % counts[2] * tap + j // counts[2] % counts[1] * y_tap
                at += j // (counts[2] * counts[1]) * z_tap
                hit = (load_masked(x, sample * x_sample + at, mask) == m) & free
                v = select(hit, load_masked(values, sample * v_sample + at, mask), v)
                free = free & ~hit
            store_masked(out, sample * out_sample + window * channels + c, v, mask)


@kernel
def unpool_averages(a: Any, like: Any) -> None:
    """Each row of windows is spread out along one row of the image, which is then added to all of
    the rows that they cover."""
    y, out, row = pointer(a[0], like), pointer(a[2], like), pointer(a[4], like)
    samples, y_sample, out_sample, channels = a[6], a[7], a[8], a[9]
    reach_z, reach_y, reach_x, z_tap, y_tap = a[10], a[11], a[12], a[13], a[14]
    tap, taps, step, width, before, length = a[15], a[16], a[17], a[18], a[19], a[20]
    zeros, adds_along, adds = a[21], a[22] > 0, a[23] > 0
    z_table, y_table, shares = a[24], a[25], a[26]
    for i in range(samples * reach_z * reach_y):
        h, z = i % reach_y, i // reach_y % reach_z
        sample = i // (reach_z * reach_y)
        if i % (reach_z * reach_y) == 0:
            _fill(out, sample * out_sample, zeros, 0.0, like)
        _fill(row, 0, length, 0.0, like)
        begin = sample * y_sample + (z * reach_y + h) * reach_x * channels
        for c in range(0, channels, lanes(like)):
            mask = first(channels - c, like)
            p = begin + c
            for w in range(reach_x):
                share = number(a, shares + z) * number(a, shares + reach_z + h)
                share *= number(a, shares + reach_z + reach_y + w)
                v = load_masked(y, p, mask) * spread(share, like)
                q = w * step + c
                for _ in range(taps):
                    if adds_along:
                        store_masked(row, q, v + load(row, q), mask)
                    else:
                        store_masked(row, q, v, mask)
                    q += tap
                p += channels
        start = sample * out_sample + a[z_table + 2 * z] + a[y_table + 2 * h]
        across = a[y_table + 2 * h + 1]
        for j in range(a[z_table + 2 * z + 1] * across):
            q = start + j // across * z_tap + j % across * y_tap
            for c in range(0, width, lanes(like)):
                mask = first(width - c, like)
                v = load(row, before + c)
                if adds:
                    v = v + load_masked(out, q + c, mask)
                store_masked(out, q + c, v, mask)
