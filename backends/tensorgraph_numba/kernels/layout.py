"""Copies between any two layouts of an array, fills, and sums of equal arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_numba.kernels.lanes import (
    BITS,
    first,
    form_of,
    instruction,
    lanes,
    load,
    load_masked,
    place,
    pointer,
    shuffle,
    spread,
    store,
    store_masked,
    whole,
)
from tensorgraph_numba.kernels.lanewise import convert
from tensorgraph_numba.late import types
from tensorgraph_numba.native import Call, bind, extent, inner, kernel

LINE = 64  # bytes; two threads that write to one line of the cache wait for each other


def described(x: Any) -> str:
    """An array in an error's words."""
    return f"{x.dtype}{list(x.shape)} with strides {x.strides}"


def channels_last(x: Any) -> bool:
    """Whether each sample of images (N, C, …) lies densely in memory, its channels innermost."""
    if x.ndim < 2 or any(s % x.itemsize for s in x.strides):
        return False
    wanted = 1
    for axis in (1, *range(x.ndim - 1, 1, -1)):
        if x.shape[axis] != 1 and x.strides[axis] != wanted * x.itemsize:
            return False
        wanted *= x.shape[axis]
    return len(x) < 2 or bool(x.strides[0] >= wanted * x.itemsize)


def images(name: str, *arrays: Any) -> None:
    """Check that arrays are images whose channels are innermost."""
    for x in arrays:
        if not channels_last(x):
            raise ValueError(
                f"{name}: takes images (N, C, …), each dense with channels innermost, not "
                f"{described(x)}"
            )


class _Axis(NamedTuple):
    """One loop of a copy: how often, and the steps in elements of what is read and written."""

    n: int
    x: int
    out: int


def _loops(x: Any, out: Any) -> list[_Axis]:
    """The loops over all elements, as few as there can be, the smallest step of ``out`` last."""
    size = x.itemsize, out.itemsize
    axes = [
        _Axis(n, s // size[0], t // size[1])
        for n, s, t in zip(x.shape, x.strides, out.strides)
        if n != 1
    ]
    merged: list[_Axis] = []
    for axis in sorted(axes, key=lambda axis: -axis.out):
        if merged:
            outer, m = merged[-1], axis.n
            if (outer.x, outer.out) == (axis.x * m, axis.out * m):
                merged[-1] = _Axis(outer.n * m, axis.x, axis.out)
                continue
        merged.append(axis)
    return merged


@inner
def _offsets(a: Any, at: int, axes: int, i: int) -> tuple[int, int]:
    """Where run ``i`` of the outer loops begins, in what is read and in what is written; word
    ``at`` is the first of these loops."""
    x, out = 0, 0
    for axis in range(axes - 1, -1, -1):
        w = at + 3 * axis
        x += i % a[w] * a[w + 1]
        out += i % a[w] * a[w + 2]
        i //= a[w]
    return x, out


@kernel
def copy_rows(a: Any, like: Any) -> None:
    """Copy rows that are contiguous on both sides; with a step of 0, repeat one element."""
    x, out = pointer(a[0], like), pointer(a[2], like)
    runs, axes, rows, x_row, out_row, count, step = a[4], a[5], a[6], a[7], a[8], a[9], a[10]
    n = lanes(like)
    for i in range(runs):
        p, q = _offsets(a, 12, axes, i)
        for _ in range(rows):
            if step:
                for c in range(0, count - n + 1, n):
                    store(out, q + c, load(x, p + c))
                c = count - count % n
                mask = first(count - c, like)
                store_masked(out, q + c, load_masked(x, p + c, mask), mask)
            else:
                v = spread(x[p], like)
                for c in range(0, count, n):
                    store_masked(out, q + c, v, first(count - c, like))
            p += x_row
            q += out_row


@kernel
def copy_elements(a: Any, like: Any) -> None:
    x, out = pointer(a[0], like), pointer(a[2], like)
    runs, axes, rows, x_row, out_row, count = a[4], a[5], a[6], a[7], a[8], a[9]
    x_step, out_step = a[10], a[11]
    for i in range(runs):
        p, q = _offsets(a, 12, axes, i)
        for _ in range(rows):
            for c in range(count):
                out[q + c * out_step] = x[p + c * x_step]
            p += x_row
            q += out_row


@kernel
def copy_bytes(a: Any, like: Any) -> None:
    """Copy whole numbers from 0 to 255 as floating-point numbers."""
    x, out = pointer(a[0], np.uint8(0)), pointer(a[2], like)
    runs, axes, rows, x_row, out_row, count = a[4], a[5], a[6], a[7], a[8], a[9]
    x_step, out_step = a[10], a[11]
    for i in range(runs):
        p, q = _offsets(a, 12, axes, i)
        for _ in range(rows):
            if x_step == 1 and out_step == 1:
                for c in range(0, count, lanes(like)):
                    mask = first(count - c, like)
                    store_masked(out, q + c, convert(load_masked(x, p + c, mask), like), mask)
            else:
                for c in range(count):
                    out[q + c * out_step] = x[p + c * x_step]
            p += x_row
            q += out_row


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of a square of numbers, given its rows: blocks off the diagonal swap places,
    halves of the square first, single numbers last."""
    size, rows = len(rows), list(rows)
    half = size // 2
    while half:
        for i in (i for i in range(size) if not i & half):
            upper, lower = rows[i], rows[i + half]
            left = [k if not k & half else size + k - half for k in range(size)]
            right = [k + half if not k & half else size + k for k in range(size)]
            rows[i] = shuffle(builder, upper, lower, left)
            rows[i + half] = shuffle(builder, upper, lower, right)
        half //= 2
    return rows


@instruction
def turn(context: Any, x: Any, p: Any, x_step: Any, out: Any, q: Any, out_step: Any) -> Any:
    """Write the columns of a square of as many rows as a vector has lanes as rows."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form = form_of(whole(x.dtype))
        size = x.dtype.bitwidth // 8
        _, p, x_step, _, q, out_step = arguments

        def at(array: Any, begin: Any, step: Any, i: int) -> Any:
            row = builder.add(begin, builder.mul(step, begin.type(i)))
            return place(builder, array, row, form)

        rows = [at(arguments[0], p, x_step, i) for i in range(form.count)]
        columns = _turned(builder, [builder.load(row, align=size) for row in rows])
        for i, column in enumerate(columns):
            builder.store(column, at(arguments[3], q, out_step, i), align=size)
        return target.get_dummy_value()

    i64 = types.int64
    return types.void(x, i64, i64, out, i64, i64), generate


@inner
def turn_all(
    x: Any, p: int, x_step: int, out: Any, q: int, out_step: int, across: int, down: int, n: int
) -> None:
    """Write the columns of ``down`` rows of ``across`` elements as rows, square by square of ``n``.
    The last square of a row or column ends with it and repeats a part of the one before."""
    for k in range(0, down, n):
        r = min(k, down - n)
        for j in range(0, across, n):
            c = min(j, across - n)
            turn(x, p + c + r * x_step, x_step, out, q + r + c * out_step, out_step)


@kernel
def copy_turned(a: Any, like: Any) -> None:
    """Copy where rows on one side are columns on the other."""
    x, out = pointer(a[0], like), pointer(a[2], like)
    runs, axes, across, out_step, down, x_step = a[4], a[5], a[6], a[7], a[8], a[9]
    for i in range(runs):
        p, q = _offsets(a, 10, axes, i)
        turn_all(x, p, x_step, out, q, out_step, across, down, lanes(like))


def _outer(axes: Sequence[_Axis]) -> list[int]:
    """How often the outer loops run in all, and how many there are."""
    return [math.prod(axis.n for axis in axes), len(axes)]


def _by_rows(kernel: Any, dtype: str, x: Any, out: Any, loops: Sequence[_Axis]) -> list[Call]:
    """A copy whose last loop is along a row, and the one before over rows."""
    *outer, rows, last = [_Axis(1, 0, 0), *loops]
    words = [*_outer(outer), *rows, *last]
    return [bind(kernel, dtype, x, out, *words, *[word for axis in outer for word in axis])]


def copy(x: Any, out: Any) -> list[Call]:
    """``out[...] = x``, where the two do not overlap. ``x`` may have steps of 0, which repeat
    elements. Numbers of 4 or 8 bytes are copied as they are; uint8 and bool also to float32 or
    float64."""
    if x.shape != out.shape:
        raise ValueError(f"copy: {described(x)} has not the shape of {described(out)}")
    narrow = x.dtype in (np.uint8, np.bool_) and out.dtype.kind == "f"
    if not (narrow or x.dtype == out.dtype) or out.itemsize not in (4, 8):
        raise ValueError(
            f"copy: takes numbers of 4 or 8 bytes, or uint8 to floats, not {described(x)} to "
            f"{described(out)}"
        )
    if any(s == 0 and n > 1 for n, s in zip(out.shape, out.strides)):
        raise ValueError(f"copy: {described(out)} has several elements in one place")
    if not x.size:
        return []
    dtype = f"float{8 * out.itemsize}"
    x, out = x.view(np.uint8 if narrow else dtype), out.view(dtype)
    loops = _loops(x, out) or [_Axis(1, 1, 1)]
    last = loops[-1]
    if narrow:
        return _by_rows(copy_bytes, dtype, x, out, loops)
    if last.out == 1 and last.x in (0, 1):
        return _by_rows(copy_rows, dtype, x, out, loops)
    column = next((axis for axis in loops if axis.x == 1), None)
    if column and last.out == 1 and min(column.n, last.n) >= BITS // 8 // out.itemsize:
        outer = [axis for axis in loops if axis not in (column, last)]
        words = [*_outer(outer), column.n, column.out, last.n, last.x]
        words += [word for axis in outer for word in axis]
        return [bind(copy_turned, dtype, x, out, *words)]
    return _by_rows(copy_elements, dtype, x, out, sorted(loops, key=lambda axis: axis.n))


def fill(out: Any, value: float) -> list[Call]:
    """``out[...] = value``."""
    return copy(np.broadcast_to(np.asarray(value, out.dtype), out.shape), out)


@kernel
def sum_arrays(a: Any, like: Any) -> None:
    out, count, n = pointer(a[0], like), a[4], lanes(like)
    for c in range(a[2], a[3], n):
        mask = first(a[3] - c, like)
        v = load_masked(pointer(a[5], like), c, mask)
        for i in range(1, count):
            v = v + load_masked(pointer(a[5 + 2 * i], like), c, mask)
        store_masked(out, c, v, mask)


def add_partials(parts: Sequence[Any], out: Any, *, part: tuple[int, int] = (0, 1)) -> list[Call]:
    """``out[...] = parts[0] + parts[1] + …``, in this order, of which ``part`` (t, threads) writes
    share t. All are dense and laid out alike; ``out`` may be one of them."""
    for x in (*parts, out):
        if (x.shape, x.strides, x.dtype) != (out.shape, out.strides, out.dtype) or (
            extent(x) != x.size
        ):
            raise ValueError(
                f"add_partials: {described(x)} is not dense and laid out as {described(out)}"
            )
    lines = -(-out.size * out.itemsize // LINE)
    begin, end = ((lines * t // part[1]) * (LINE // out.itemsize) for t in (part[0], part[0] + 1))
    if not parts or begin >= min(end, out.size):
        return []
    return [bind(sum_arrays, out.dtype.name, out, begin, min(end, out.size), len(parts), *parts)]
