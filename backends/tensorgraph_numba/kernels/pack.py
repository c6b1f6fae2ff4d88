"""Copies that rearrange matrices: rows into panels, and transposes, a block in registers at a time.

As steps of programs their words are: source, unused, destination, unused; then sizes and strides,
which count elements.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from tensorgraph_numba.kernels.tile_code import I32, I64
from tensorgraph_numba.late import intrinsic, types
from tensorgraph_numba.native import _pointer, inner, kernel
from tensorgraph_numba.vector import unit


@intrinsic
def _lanes(context: Any, like: Any) -> Any:
    """How many numbers a register holds: a constant of the code."""
    count = unit().lanes(like.name)

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(I64, count)

    return types.int64(like), generate


@intrinsic
def _transpose_block(context: Any, source: Any, row: Any, to: Any, to_row: Any, add: Any) -> Any:
    """Transpose a square of as many rows as a register has lanes. Interleaving line i with line
    i + n/2, for all i, turns the square by one bit of its indices: log2(n) times transpose it."""
    n = types.int64

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = target.get_data_type(source.dtype)
        lanes = unit().lanes(source.dtype.name)
        size = 8 if isinstance(number, ir.DoubleType) else 4
        vector = ir.VectorType(number, lanes)
        half = lanes // 2

        def at(base: Any, stride: Any, i: int) -> Any:
            where = builder.gep(base, [builder.mul(stride, ir.Constant(I64, i))])
            return builder.bitcast(where, vector.as_pointer())

        def interleave(x: Any, y: Any, first: int) -> Any:
            order = [first + i // 2 + lanes * (i % 2) for i in range(lanes)]
            mask = ir.Constant(ir.VectorType(I32, lanes), [ir.Constant(I32, i) for i in order])
            return builder.shuffle_vector(x, y, mask)

        lines = [builder.load(at(values[0], values[1], i), align=size) for i in range(lanes)]
        for _ in range(lanes.bit_length() - 1):
            pairs = [(lines[i], lines[i + half]) for i in range(half)]
            lines = [interleave(*pair, first) for pair in pairs for first in (0, half)]
        adds = builder.icmp_signed("!=", values[4], ir.Constant(I64, 0))
        with builder.if_else(adds) as (then, otherwise):
            with then:
                for i, line in enumerate(lines):
                    old = builder.load(at(values[2], values[3], i), align=size)
                    builder.store(builder.fadd(old, line), at(values[2], values[3], i), align=size)
            with otherwise:
                for i, line in enumerate(lines):
                    builder.store(line, at(values[2], values[3], i), align=size)
        return target.get_dummy_value()

    return types.void(source, n, to, n, n), generate


@inner
def _offset(address: int, elements: int, like: Any) -> Any:
    """A pointer to the element that lies `elements` after an address."""
    return _pointer(address + elements * _size(like), like)


@intrinsic
def _size(context: Any, like: Any) -> Any:
    """Bytes of a number."""
    size = like.bitwidth // 8

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(I64, size)

    return types.int64(like), generate


@kernel
def transpose_matrix(a: Any, like: Any) -> None:
    """to[j * to_row + i * to_step] (+)= source[i * row + j * step] for i < rows, j < columns.
    Words from the fifth: rows, columns, row, step, to_row, to_step, add. Steps of 1: in blocks."""
    rows, columns, row, step, to_row, to_step, add = a[4], a[5], a[6], a[7], a[8], a[9], a[10]
    lanes = _lanes(like)
    in_blocks = step == 1 and to_step == 1
    whole_rows = rows // lanes * lanes if in_blocks else 0
    whole_columns = columns // lanes * lanes if in_blocks else 0
    for i in range(0, whole_rows, lanes):
        for j in range(0, whole_columns, lanes):
            source = _offset(a[0], i * row + j, like)
            _transpose_block(source, row, _offset(a[2], j * to_row + i, like), to_row, add)
    source = _pointer(a[0], like)
    to = _pointer(a[2], like)
    for i in range(rows):
        for j in range(0 if i >= whole_rows else whole_columns, columns):
            x = source[i * row + j * step]
            if add != 0:
                x += to[j * to_row + i * to_step]
            to[j * to_row + i * to_step] = x


@kernel
def copy_rows(a: Any, like: Any) -> None:
    """to[i * to_row + j] = source[i * row + j] for i < rows, j < columns. Words from the fifth:
    rows, columns, row, to_row."""
    rows, columns, row, to_row = a[4], a[5], a[6], a[7]
    for i in range(rows):
        source = _offset(a[0], i * row, like)
        to = _offset(a[2], i * to_row, like)
        for j in range(columns):
            to[j] = source[j]


@kernel
def fill_rows(a: Any, like: Any) -> None:
    """to[i * to_row + j] = 0 for i < rows, j < columns. Words from the fifth: rows, columns,
    to_row."""
    rows, columns, to_row = a[4], a[5], a[6]
    for i in range(rows):
        to = _offset(a[2], i * to_row, like)
        for j in range(columns):
            to[j] = like * 0


@kernel
def spread_row(a: Any, like: Any) -> None:
    """to[i * to_row + j] = source[j] for i < rows, j < columns. Words from the fifth: rows,
    columns, to_row."""
    rows, columns, to_row = a[4], a[5], a[6]
    source = _pointer(a[0], like)
    for i in range(rows):
        to = _offset(a[2], i * to_row, like)
        for j in range(columns):
            to[j] = source[j]
