"""Moving the elements of a chain: from arrays of any strides into rows, and back, and added up.

``axes`` is where an array's axes are described in the words ``a`` (``chain_layout.described``),
``row``, ``source`` and ``target`` are addresses, ``size`` the bytes of an element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from tensorgraph_numba.late import cgutils, intrinsic, types
from tensorgraph_numba.native import _pointer as at
from tensorgraph_numba.native import inner

STORE, ADD, MAXIMUM = 0, 1, 2


@intrinsic
def load(context: Any, address: Any, like: Any) -> Any:
    """The number at an address."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = target.get_value_type(signature.return_type)
        return builder.load(builder.inttoptr(values[0], kind.as_pointer()))

    return like(types.int64, like), generate


@intrinsic
def store(context: Any, address: Any, value: Any, like: Any) -> Any:
    """Write a number to an address, in the type of ``like``."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = target.cast(builder, values[1], value, like)
        builder.store(number, builder.inttoptr(values[0], number.type.as_pointer()))
        return target.get_dummy_value()

    return types.void(types.int64, value, like), generate


@intrinsic
def move(context: Any, source: Any, target: Any, count: Any) -> Any:
    """Copy ``count`` bytes."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        places = [builder.inttoptr(x, ir.IntType(8).as_pointer()) for x in values[:2]]
        cgutils.raw_memcpy(builder, places[1], places[0], values[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def keep_apart(context: Any) -> Any:
    """Have the function that says this called, not merged into those that call it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def keep_small(context: Any) -> Any:
    """The same, and have it short rather than fast: it takes less time to compile."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.function.attributes.add("noinline")
        builder.function.attributes.add("optsize")
        return context.get_dummy_value()

    return types.void(), generate


@inner
def locate(a: Any, axes: int, position: int) -> tuple[int, int, int]:
    """Where a position is: its offset, the positions left on the last axis, its stride."""
    offset = 0
    for k in range(a[axes] - 1):
        index = position // a[axes + 1 + 2 * k]
        position -= index * a[axes + 1 + 2 * k]
        offset += index * a[axes + 2 + 2 * k]
    last = axes + 2 * a[axes] - 1
    return offset + position * a[last + 1], a[last] - position, a[last + 1]


@inner
def fill(row: int, count: int, value: Any, like: Any) -> None:
    keep_apart()
    to = at(row, like)
    for i in range(count):
        to[i] = value


@inner
def gather(
    a: Any, axes: int, row: int, source: int, position: int, count: int, size: int, like: Any
) -> None:
    """``count`` elements from ``position`` on, into a row."""
    keep_apart()
    done = 0
    while done < count:
        offset, left, stride = locate(a, axes, position + done)
        n = min(left, count - done)
        start, to = source + offset * size, row + done * size
        if stride == 1:
            move(start, to, n * size)
        elif size == 1:
            for i in range(n):
                store(to + i, load(start + i * stride, np.uint8(0)), np.uint8(0))
        elif stride == 0:
            fill(to, n, load(start, like), like)
        else:
            for i in range(n):
                store(to + i * size, load(start + i * stride * size, like), like)
        done += n


@inner
def scatter(
    a: Any, axes: int, row: int, target: int, position: int, count: int, size: int, like: Any
) -> None:
    """The elements of a row to where they belong."""
    keep_small()
    done = 0
    while done < count:
        offset, left, stride = locate(a, axes, position + done)
        n = min(left, count - done)
        start, values = target + offset * size, row + done * size
        if stride == 1:
            move(values, start, n * size)
        elif size == 1:
            for i in range(n):
                store(start + i * stride, load(values + i, np.uint8(0)), np.uint8(0))
        else:
            for i in range(n):
                store(start + i * stride * size, load(values + i * size, like), like)
        done += n


@inner
def larger(x: Any, y: Any) -> Any:
    """The larger, NaN if either is."""
    return x if x > y or x != x else y


@inner
def reduce(
    a: Any, axes: int, row: int, target: int, position: int, count: int, size: int, mode: int,
    like: Any,
) -> None:  # fmt: skip
    """The elements of a row added to where they belong, or the larger kept (``mode``)."""
    keep_apart()
    done = 0
    while done < count:
        offset, left, stride = locate(a, axes, position + done)
        n = min(left, count - done)
        values = at(row + done * size, like)
        start = target + offset * size
        if mode == MAXIMUM and stride == 0:
            most = load(start, like)
            for i in range(n):
                most = larger(values[i], most)
            store(start, most, like)
        elif mode == MAXIMUM:
            for i in range(n):
                place = start + i * stride * size
                store(place, larger(values[i], load(place, like)), like)
        elif stride == 0:
            total = 0.0
            for i in range(n):
                total += values[i]
            store(start, load(start, like) + total, like)
        else:
            for i in range(n):
                place = start + i * stride * size
                store(place, load(place, like) + values[i], like)
        done += n
