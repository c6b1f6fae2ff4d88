"""Convolution as one matrix product: every window of the input becomes a column.

Far fewer kernel launches than the portable loop over the filter's elements, which on a GPU cost
more than the arithmetic of a small convolution. The price is memory: the columns hold each pixel
once for each element of the filter.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def conv(
    xp: Any, x: Any, w: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    (f, _, *k), n = w.shape, x.shape[0]
    columns, reach = _columns(xp, x, k, stride, padding, dilation, groups)
    y = _product(xp, w.reshape(groups, f // groups, math.prod(w.shape[1:])), columns)
    return y.reshape(f, n, *reach).swapaxes(0, 1)


def conv_weight(
    xp: Any,
    x: Any,
    y: Any,
    *,
    size: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Any:
    f = y.shape[1]
    reach = _fit(y.shape[2:], size, stride, dilation)
    x = _padded(xp, x, padding)[(..., *map(slice, reach))]  # what no window meets is left out
    none = ((0, 0),) * len(size)
    columns, _ = _columns(xp, x, size, stride, none, dilation, groups)
    y = y.swapaxes(0, 1).reshape(groups, f // groups, columns.shape[2])
    w = _product(xp, y, columns.swapaxes(1, 2))
    return w.reshape(f, x.shape[1] // groups, *size)


def conv_input(
    xp: Any,
    y: Any,
    w: Any,
    *,
    size: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Any:
    (n, f, *reach), (_, c, *k) = y.shape, w.shape
    y = y.swapaxes(0, 1).reshape(groups, f // groups, n * math.prod(reach))
    columns = _product(xp, w.reshape(groups, f // groups, math.prod(w.shape[1:])).swapaxes(1, 2), y)
    columns = columns.reshape(groups * c, *k, n, *reach)
    x = xp.zeros((groups * c, n, *[m + sum(p) for m, p in zip(size, padding)]), y.dtype)
    for at in itertools.product(*map(range, k)):
        spans = zip(at, dilation, reach, stride)
        window = [slice(o * d, o * d + (m - 1) * s + 1, s) for o, d, m, s in spans]
        x[(..., *window)] += columns[(slice(None), *at)]
    return x[(..., *[slice(p[0], p[0] + m) for m, p in zip(size, padding)])].swapaxes(0, 1)


def _columns(
    xp: Any, x: Any, k: Any, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> tuple[Any, list[int]]:
    """(N,C,…) → (groups, C/groups * prod(k), N * prod(reach)), and how far the windows reach."""
    x = xp.ascontiguousarray(_padded(xp, x, padding))
    n, c, *sizes = x.shape
    reach = [(m - (k - 1) * d - 1) // s + 1 for m, k, s, d in zip(sizes, k, stride, dilation)]
    along_n, along_c, *along = x.strides
    windows = xp.lib.stride_tricks.as_strided(
        x,
        (groups, c // groups, *k, n, *reach),
        (
            along_c * (c // groups),
            along_c,
            *[a * d for a, d in zip(along, dilation)],
            along_n,
            *[a * s for a, s in zip(along, stride)],
        ),
    )
    return windows.reshape(groups, (c // groups) * math.prod(k), n * math.prod(reach)), reach


def _padded(xp: Any, x: Any, padding: Pairs) -> Any:
    return xp.pad(x, ((0, 0), (0, 0), *padding)) if any(map(any, padding)) else x


def _fit(reach: Ints, k: Ints, stride: Ints, dilation: Ints) -> list[int]:
    """The part of the padded input that the windows meet."""
    return [(m - 1) * s + (k - 1) * d + 1 for m, k, s, d in zip(reach, k, stride, dilation)]


def _product(xp: Any, x: Any, y: Any) -> Any:
    """A product for each group. Two dimensions where one group is all: CuPy's batched product
    copies its operands, the plain one hands them to cuBLAS as they are."""
    return xp.matmul(x[0], y[0])[None] if len(x) == 1 else xp.matmul(x, y)
