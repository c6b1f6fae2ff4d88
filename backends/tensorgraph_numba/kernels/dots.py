"""Products with few columns from rows that are contiguous along the sum: dot products, whose
vectors lie along the sum and are added up at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..native import Call, _pointer, kernel
from ..vector import unit
from .choice import segments
from .program import Loop, Place, Program, Strides
from .tile import Shape

ROWS = 8  # so many sums hide the latency, and so many streams the prefetcher follows


@kernel
def add_lanes(a: Any, like: Any) -> None:
    """to[i * step] (+)= sum of source[i * lanes + j] over j < lanes, for i < rows. Words from the
    fifth: rows, lanes, step, add."""
    rows, lanes, step, add = a[4], a[5], a[6], a[7]
    source, to = _pointer(a[0], like), _pointer(a[2], like)
    for i in range(rows):
        total = like * 0
        for j in range(lanes):
            total += source[i * lanes + j]
        if add != 0:
            total += to[i * step]
        to[i * step] = total


def dots(
    x: Any, y: Any, out: Any, accumulate: bool, scratch: Callable[[int], Any]
) -> list[Call]:  # fmt: skip
    """Calls for out[b, i, j] (+)= sum of x[b, i, k] * y[b, j, k] over k, for small j: x and y
    contiguous along k, out of any strides."""
    (turns, rows, columns), depth = out.shape, x.shape[2]
    size, lanes = out.itemsize, unit().lanes(out.dtype)
    parts = scratch(rows * lanes)
    program = Program(str(out.dtype), turns, (x, y, out, parts))
    for j in range(columns):
        whole, rest = divmod(depth, lanes)
        for first, count, last in ((0, whole, lanes), (whole, 1, rest)):
            if not count or not last:
                continue
            along = (0, 0, lanes * size)
            strides = Strides(x.strides[1], lanes * size, lanes * size, along, along)
            for segment in segments(rows, 1, ROWS):
                c = parts.ctypes.data + segment.first * lanes * size
                a = x.ctypes.data + segment.first * x.strides[1] + first * lanes * size
                b = y.ctypes.data + j * y.strides[1] + first * lanes * size
                down = segment.rows * lanes * size
                start = first > 0
                program.tile(
                    Shape(segment.rows, 1, lanes, last < lanes, True),
                    Place(a, b, c, c if start else 0), strides, (1, 1, count),
                    [Loop(segment.tiles, segment.rows * x.strides[1], 0, down, down * start)],
                    last, Place(x.strides[0], y.strides[0], 0, 0),
                )  # fmt: skip
        place = Place(parts.ctypes.data, 0, out.ctypes.data + j * out.strides[2])
        words = (rows, lanes, out.strides[1] // size, int(accumulate))
        program.step(add_lanes, place, words, (), Place(0, 0, out.strides[0]))
    return program.calls()
