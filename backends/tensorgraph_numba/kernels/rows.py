"""Functions along one axis: softmax, its logarithm, extremes, sums.

The axis is contiguous: the last one of dense arrays, or the channels of images whose channels are
innermost. What stands along it is a row. A row of up to a vector's lanes never leaves registers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir

from tensorgraph_numba.kernels import chain_lanes
from tensorgraph_numba.kernels.lanes import (
    I32,
    first,
    instruction,
    lanes,
    load_masked,
    pointer,
    spread,
    store_masked,
)
from tensorgraph_numba.kernels.lanewise import largest, maximum, select, total
from tensorgraph_numba.kernels.layout import described
from tensorgraph_numba.native import Call, bind, inner, kernel

MAXIMUM, SUM, ARGMAX = 0, 1, 2


@instruction
def exp(context: Any, v: Any) -> Any:
    """e to the power of each lane; of float64 by the system's library, one after the other."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (powers,) = arguments
        if v.element.bitwidth == 32:
            return chain_lanes.exp(chain_lanes.Lanes(builder, powers, "float32", v.count)).value
        for i in range(v.count):
            at = ir.Constant(I32, i)
            one = chain_lanes.Lanes(builder, builder.extract_element(powers, at), "float64", 1)
            powers = builder.insert_element(powers, chain_lanes.exp(one).value, at)
        return powers

    return v(v), generate


@inner
def _chunk(x: Any, p: int, c: int, count: int, beyond: float, like: Any) -> Any:
    """Elements ``c`` and following of a row that begins at ``p``, and ``beyond`` behind its end."""
    mask = first(count - c, like)
    return select(mask, load_masked(x, p + c, mask), spread(beyond, like))


@inner
def row_top(x: Any, p: int, count: int, like: Any) -> Any:
    """The largest element of a row; NaN if one is."""
    v = _chunk(x, p, 0, count, -math.inf, like)
    for c in range(lanes(like), count, lanes(like)):
        v = maximum(v, _chunk(x, p, c, count, -math.inf, like))
    return largest(v)


@inner
def _powers(x: Any, p: int, c: int, count: int, top: Any, like: Any) -> Any:
    """``exp(x - top)`` of elements ``c`` and following of a row, and 0 behind its end."""
    mask = first(count - c, like)
    v = select(mask, load_masked(x, p + c, mask), top) - top  # no exp(-inf): underflow takes time
    return select(mask, exp(v), spread(0.0, like))


@inner
def power_sum(x: Any, p: int, count: int, top: Any, like: Any) -> Any:
    """The sum of ``exp(x - top)`` over a row."""
    v = _powers(x, p, 0, count, top, like)
    for c in range(lanes(like), count, lanes(like)):
        v = v + _powers(x, p, c, count, top, like)
    return total(v)


@inner
def _share(v: Any, sums: Any, c: int, label: int, scale: Any, like: Any) -> Any:
    """``scale * (v / sums - one)``, where ``one`` is 1 at element ``label`` of the row, else 0;
    lane 0 is element ``c``."""
    hit = first(label + 1 - c, like) & ~first(label - c, like)
    one = select(hit, spread(1.0, like), spread(0.0, like))
    return (v * sums - one) * spread(scale, like)


@inner
def softmax_row(
    x: Any, p: int, out: Any, q: int, count: int, label: int, scale: Any, like: Any
) -> None:
    """Write ``scale * (softmax(x) - one)`` of a row, where ``one`` is 1 at ``label``, else 0."""
    n = lanes(like)
    top = spread(row_top(x, p, count, like), like)
    powers = _powers(x, p, 0, count, top, like)
    if count <= n:
        v = _share(powers, spread(1.0 / total(powers), like), 0, label, scale, like)
        store_masked(out, q, v, first(count, like))
        return
    store_masked(out, q, powers, first(count, like))
    for c in range(n, count, n):
        v = _powers(x, p, c, count, top, like)
        powers = powers + v
        store_masked(out, q + c, v, first(count - c, like))
    inverse = spread(1.0 / total(powers), like)
    for c in range(0, count, n):
        mask = first(count - c, like)
        v = _share(load_masked(out, q + c, mask), inverse, c, label, scale, like)
        store_masked(out, q + c, v, mask)


@kernel
def softmax_rows(a: Any, like: Any) -> None:
    x, out, count = pointer(a[0], like), pointer(a[2], like), a[10]
    for i in range(a[4]):
        p, q = i * a[5], i * a[6]
        for _ in range(a[7]):
            softmax_row(x, p, out, q, count, -1, 1.0, like)
            p += a[8]
            q += a[9]


@kernel
def log_softmax_rows(a: Any, like: Any) -> None:
    x, out, count = pointer(a[0], like), pointer(a[2], like), a[10]
    for i in range(a[4]):
        p, q = i * a[5], i * a[6]
        for _ in range(a[7]):
            top = row_top(x, p, count, like)
            less = spread(math.log(power_sum(x, p, count, spread(top, like), like)), like)
            for c in range(0, count, lanes(like)):
                mask = first(count - c, like)
                v = load_masked(x, p + c, mask) - spread(top, like) - less
                store_masked(out, q + c, v, mask)
            p += a[8]
            q += a[9]


@kernel
def reduce_rows(a: Any, like: Any) -> None:
    """The largest element of each row, the sum, or where the first of the largest is."""
    x, out, places = pointer(a[0], like), pointer(a[2], like), pointer(a[2], np.int64(0))
    count, wanted = a[8], a[9]
    for i in range(a[4]):
        p = i * a[5]
        for row in range(i * a[6], (i + 1) * a[6]):
            if wanted == SUM:
                v = _chunk(x, p, 0, count, 0.0, like)
                for c in range(lanes(like), count, lanes(like)):
                    v = v + _chunk(x, p, c, count, 0.0, like)
                out[row] = total(v)
            else:
                top = row_top(x, p, count, like)
                if wanted == MAXIMUM:
                    out[row] = top
                else:
                    c = 0
                    while x[p + c] != top and x[p + c] == x[p + c]:  # the first NaN is the largest
                        c += 1
                    places[row] = c
            p += a[7]


def rows_along(name: str, axis: int, *arrays: Any) -> list[int]:
    """How rows along an axis lie in arrays of one shape, as words: outer rows, their steps in each
    array, inner rows, their steps, elements of a row. Rows count in row-major order."""
    x = arrays[0]
    if not -x.ndim <= axis < x.ndim or x.shape[axis] == 0:
        raise ValueError(f"{name}: {described(x)} has no elements along axis {axis}")
    moved = [np.moveaxis(t, axis, -1) for t in arrays]
    *sizes, count = moved[0].shape
    loops: list[tuple[int, list[int]]] = []
    for i, n in enumerate(sizes):
        steps = [t.strides[i] // t.itemsize for t in moved]
        if n == 1:
            continue
        if loops and loops[-1][1] == [step * n for step in steps]:
            loops[-1] = loops[-1][0] * n, steps
        else:
            loops.append((n, steps))
    for t in moved:
        if (t.shape, t.dtype) != (moved[0].shape, x.dtype):
            raise ValueError(
                f"{name}: {described(t)} is not of the shape and dtype of {described(x)}"
            )
        if (count > 1 and t.strides[-1] != t.itemsize) or len(loops) > 2:
            raise ValueError(
                f"{name}: takes dense arrays whose axis {axis} is contiguous, not {described(x)}"
            )
    nothing = 1, [0] * len(arrays)
    return [word for n, steps in [nothing, nothing, *loops][-2:] for word in (n, *steps)] + [count]


def check_dense(name: str, x: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if x.shape != shape or x.dtype != dtype or not x.flags.c_contiguous:
        raise ValueError(f"{name}: {described(x)} is not dense {np.dtype(dtype)}{list(shape)}")


def softmax(x: Any, out: Any, *, axis: int = -1) -> list[Call]:
    """``exp(x)`` over its sum along ``axis``. ``out`` may be ``x``."""
    words = rows_along("softmax", axis, x, out)
    return [bind(softmax_rows, x.dtype.name, x, out, *words)] if x.size else []


def log_softmax(x: Any, out: Any, *, axis: int = -1) -> list[Call]:
    """The logarithm of ``softmax``. ``out`` may be ``x``."""
    words = rows_along("log_softmax", axis, x, out)
    return [bind(log_softmax_rows, x.dtype.name, x, out, *words)] if x.size else []


def _reduced(name: str, wanted: int, x: Any, out: Any, axis: int, dtype: Any) -> list[Call]:
    words = rows_along(name, axis, x)
    if out.size * x.shape[axis] != x.size:
        raise ValueError(
            f"{name}: {described(out)} has not one number for each row of {described(x)}"
        )
    check_dense(name, out, out.shape, dtype)
    return [bind(reduce_rows, x.dtype.name, x, out, *words, wanted)] if x.size else []


def row_max(x: Any, out: Any, *, axis: int = -1) -> list[Call]:
    """The largest element along ``axis``, NaN if one is; ``out`` is dense."""
    return _reduced("row_max", MAXIMUM, x, out, axis, x.dtype)


def row_sum(x: Any, out: Any, *, axis: int = -1) -> list[Call]:
    """The sum along ``axis``; ``out`` is dense."""
    return _reduced("row_sum", SUM, x, out, axis, x.dtype)


def row_argmax(x: Any, out: Any, *, axis: int = -1) -> list[Call]:
    """Where along ``axis`` the first of the largest elements is; ``out`` is dense int64."""
    return _reduced("row_argmax", ARGMAX, x, out, axis, np.int64)
