"""Products with few columns from rows that are contiguous along the sum: dot products, whose
vectors lie along the sum and are added up at its end."""

from __future__ import annotations

from typing import Any

from tensorgraph_numba.kernels.choice import segments
from tensorgraph_numba.kernels.program import Loop, Place, Program, Strides
from tensorgraph_numba.kernels.tile_code import Shape
from tensorgraph_numba.native import Call
from tensorgraph_numba.vector import unit

ROWS = 8  # so many sums hide the latency, and so many streams the prefetcher follows


def dots(x: Any, y: Any, out: Any, accumulate: bool) -> list[Call]:
    """Calls for out[b, i, j] (+)= sum of x[b, i, k] * y[b, j, k] over k, for small j: x and y
    contiguous along k, out of any strides."""
    turns, rows, columns = out.shape
    size, lanes = out.itemsize, unit().lanes(out.dtype)
    whole, rest = divmod(x.shape[2], lanes)
    program = Program(str(out.dtype), turns, (x, y, out))
    along = (0, 0, lanes * size)
    strides = Strides(x.strides[1], out.strides[1], out.strides[1], along, along)
    for first, count, last in ((0, whole, lanes), (whole, 1, rest)):
        if not count or not last:
            continue
        adds = int(accumulate or first > 0)
        turn = Place(x.strides[0], y.strides[0], out.strides[0], out.strides[0] * adds)
        for segment in segments(rows, 1, ROWS):
            a = x.ctypes.data + segment.first * x.strides[1] + first * lanes * size
            b = y.ctypes.data + first * lanes * size
            c = out.ctypes.data + segment.first * out.strides[1]
            down = segment.rows * out.strides[1]
            loops = [
                Loop(segment.tiles, segment.rows * x.strides[1], 0, down, down * adds),
                Loop(columns, 0, y.strides[1], out.strides[2], out.strides[2] * adds),
            ]
            shape = Shape(segment.rows, 1, lanes, last < lanes, True, True)
            place = Place(a, b, c, c * adds)
            program.tile(shape, place, strides, (1, 1, count), loops, last, turn)
    return program.calls()
