"""Tiles of products whose sums stay in vector registers: what every matrix product, convolution and
gradient of these kernels is made of.

A tile of R rows and V vectors of L lanes computes, for m < R and j < V * L,

    C[m, j] = start[m, j] + sum over i0 < n0, i1 < n1, i2 < n2 of
              A[m * a_row + i0 * a0 + i1 * a1 + i2 * a2] * B[j + i0 * b0 + i1 * b1 + i2 * b2]

Strides are free, zero and negative ones too, and count elements. Rows of B and C are contiguous. A
is read number by number, so the rows of a tile may overlap: those of an image are a convolution
without im2col, its columns are the weight gradient. `start` is nothing (zeros), C itself
(accumulate), or a row that all share (a bias). No bounds are checked.

Numba does not keep sums in registers by itself; LLVM does where it is told so, hence intrinsics.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from tensorgraph_numba.kernels.tile_code import BYTES, Operands, Shape, constant, emit, size_of
from tensorgraph_numba.late import intrinsic, types
from tensorgraph_numba.vector import unit


def _bytes_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Where an array or a pointer points to, as a pointer to bytes."""
    if isinstance(kind, types.Array):
        value = context.make_array(kind)(context, builder, value).data
    return builder.bitcast(value, BYTES)


@intrinsic(prefer_literal=True)
def tile(
    context: Any, rows: Any, vectors: Any,
    a: Any, a_at: Any, a_row: Any, a0: Any, a1: Any, a2: Any,
    b: Any, b_at: Any, b0: Any, b1: Any, b2: Any,
    c: Any, c_at: Any, c_row: Any, n0: Any, n1: Any, n2: Any, accumulate: Any,
) -> Any:  # fmt: skip
    """A tile inside a kernel: `rows` and `vectors` are literals; `a`, `b` and `c` arrays or
    pointers, each with the element where the tile begins; all strides count elements. Vectors are
    whole registers of `unit()`. Adds to `c` where `accumulate` is not 0."""
    element = a.dtype
    shape = Shape(rows.literal_value, vectors.literal_value, unit().lanes(element.name))
    n = types.intp
    given = (rows, vectors, a, n, n, n, n, n, b, n, n, n, n, c, n, n, n, n, n, n)

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = target.get_data_type(element)
        size = size_of(number)
        scaled = [
            builder.mul(v, constant(size)) if kind is n else v for kind, v in zip(given, values)
        ]
        at = [
            builder.gep(_bytes_of(target, builder, given[i], values[i]), [scaled[i + 1]])
            for i in (2, 8, 13)
        ]
        adds = builder.icmp_signed("!=", values[19], constant(0))
        start = builder.select(adds, at[2], ir.Constant(BYTES, None))
        x = Operands(
            a=at[0], b=at[1], c=at[2], start=start,
            a_row=scaled[4], c_row=scaled[15], start_row=scaled[15],
            counts=tuple(values[16:19]), a_steps=tuple(scaled[5:8]), b_steps=tuple(scaled[10:13]),
            columns=None,
        )  # fmt: skip
        emit(builder, number, shape, x)
        return target.get_dummy_value()

    return types.void(*given), generate
