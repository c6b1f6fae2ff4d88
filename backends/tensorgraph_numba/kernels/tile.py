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

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..vector import unit

I64 = ir.IntType(64)
I32 = ir.IntType(32)
BYTE = ir.IntType(8)
BYTES = BYTE.as_pointer()
CONTRACT = ("contract",)  # one instruction where the processor has it


class Shape(NamedTuple):
    """A tile's rows, vectors, and lanes per vector. `masked`: only the first lanes of its last
    vector are read and written. `lanewise`: A too is a row of lanes, A[m * a_row + … + j], as in a
    depthwise convolution."""

    rows: int
    vectors: int
    lanes: int
    masked: bool = False
    lanewise: bool = False


class Operands(NamedTuple):
    """LLVM values: pointers to bytes, and strides in bytes. `start` may be null."""

    a: Any
    b: Any
    c: Any
    start: Any
    a_row: Any
    c_row: Any
    start_row: Any
    counts: tuple[Any, Any, Any]
    a_steps: tuple[Any, Any, Any]
    b_steps: tuple[Any, Any, Any]
    columns: Any  # how many lanes of the last vector count, where masked


def _constant(value: int) -> Any:
    return ir.Constant(I64, value)


class _Emitter:
    """Writes one tile into the function that `builder` is at."""

    def __init__(self, builder: Any, element: Any, shape: Shape, columns: Any) -> None:
        self.builder, self.element, self.shape = builder, element, shape
        self.size = 8 if isinstance(element, ir.DoubleType) else 4
        self.vector = ir.VectorType(element, shape.lanes)
        self.pointer = self.vector.as_pointer()
        self.mask = self._mask(columns) if shape.masked else None

    def _mask(self, columns: Any) -> Any:
        """Lanes below `columns`."""
        lanes = ir.VectorType(I64, self.shape.lanes)
        numbers = ir.Constant(lanes, [_constant(i) for i in range(self.shape.lanes)])
        return self.builder.icmp_signed("<", numbers, self.splat(columns, lanes))

    def splat(self, value: Any, vector: Any) -> Any:
        """The vector each of whose lanes is `value`."""
        none = ir.Constant(vector, ir.Undefined)
        one = self.builder.insert_element(none, value, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, vector.count), None)
        return self.builder.shuffle_vector(one, none, zeros)

    def at(self, base: Any, step: Any) -> Any:
        """`base` plus `step` bytes."""
        return self.builder.gep(base, [step])

    def multiples(self, row: Any) -> list[Any]:
        """Variables that hold a stride, and its triple and quintuple where they serve."""
        times = [n for n in (1, 3, 5) if n < self.shape.rows]
        products = [self.builder.mul(row, _constant(n)) for n in times]
        return [cgutils.alloca_once_value(self.builder, x) for x in products]

    def _hidden(self, value: Any) -> Any:
        """The same value, about which the optimizer knows nothing: no instruction."""
        form = ir.FunctionType(value.type, [value.type])
        return self.builder.asm(form, "", "=r,0", [value], side_effect=True)

    def rows(self, base: Any, multiples: list[Any], hide: bool = False) -> list[Any]:
        """Pointers to each row: five from each base, for base + row * {1, 2, 4} and base + triple
        are addresses of x86 themselves. `hide` them from the optimizer, which would otherwise
        keep a pointer to each row and run out of registers."""
        builder = self.builder
        if hide:
            for x in multiples:
                builder.store(self._hidden(builder.load(x)), x)
        row, triple, five = ([builder.load(x) for x in multiples] + [None] * 3)[:3]
        out = []
        for m in range(self.shape.rows):
            if m and m % 5 == 0:
                base = self.at(base, five)
                base = self._hidden(base) if hide else base
            if m % 5 == 0:
                out.append(base)
            else:
                offset = triple if m % 5 == 3 else builder.mul(row, _constant(m % 5))
                out.append(self.at(base, offset))
        return out

    def load(self, base: Any, v: int) -> Any:
        """Vector `v` of the row at `base`."""
        where = self.builder.gep(base, [_constant(v * self.shape.lanes * self.size)])
        where = self.builder.bitcast(where, self.pointer)
        if self.mask is None or v < self.shape.vectors - 1:
            return self.builder.load(where, align=self.size)
        form = ir.FunctionType(self.vector, [self.pointer, I32, self.mask.type, self.vector])
        name = f"llvm.masked.load.v{self.shape.lanes}f{8 * self.size}.p0"
        called = cgutils.get_or_insert_function(self.builder.module, form, name)
        zeros = ir.Constant(self.vector, None)
        return self.builder.call(called, [where, ir.Constant(I32, self.size), self.mask, zeros])

    def store(self, value: Any, base: Any, v: int) -> None:
        where = self.builder.gep(base, [_constant(v * self.shape.lanes * self.size)])
        where = self.builder.bitcast(where, self.pointer)
        if self.mask is None or v < self.shape.vectors - 1:
            self.builder.store(value, where, align=self.size)
            return
        form = ir.FunctionType(ir.VoidType(), [self.vector, self.pointer, I32, self.mask.type])
        name = f"llvm.masked.store.v{self.shape.lanes}f{8 * self.size}.p0"
        called = cgutils.get_or_insert_function(self.builder.module, form, name)
        self.builder.call(called, [value, where, ir.Constant(I32, self.size), self.mask])

    def start(self, sums: list[list[Any]], base: Any, row: Any) -> None:
        """Let the sums begin at `base`, or at 0 where that is null."""
        empty = self.builder.icmp_unsigned("==", base, ir.Constant(BYTES, None))
        with self.builder.if_else(empty) as (then, otherwise):
            with then:
                for line in sums:
                    for x in line:
                        self.builder.store(ir.Constant(self.vector, None), x)
            with otherwise:
                for line, where in zip(sums, self.rows(base, self.multiples(row))):
                    for v, x in enumerate(line):
                        self.builder.store(self.load(where, v), x)

    def step(self, sums: list[list[Any]], a_rows: list[Any], a: Any, b: Any) -> None:
        """Add one product to each sum."""
        builder = self.builder
        columns = [self.load(b, v) for v in range(self.shape.vectors)]
        scalar = self.element.as_pointer()
        for line, where in zip(sums, self.rows(a, a_rows, hide=True)):
            builder.fence("seq_cst", "singlethread")  # no instruction: loads stay where they are
            if not self.shape.lanewise:
                number = builder.load(builder.bitcast(where, scalar), align=self.size)
                factors = [self.splat(number, self.vector)] * self.shape.vectors
            else:
                factors = [self.load(where, v) for v in range(self.shape.vectors)]
            for x, column, factor in zip(line, columns, factors):
                product = builder.fmul(factor, column, flags=CONTRACT)
                builder.store(builder.fadd(product, builder.load(x), flags=CONTRACT), x)


def copies(rows: int, vectors: int) -> int:
    """How many sets of sums a tile keeps, to be added up at its end: a sum must wait for itself
    some 4 cycles, so few sums would leave the processor idle."""
    wanted = 4 if rows * vectors <= 2 else 2 if rows * vectors < 8 else 1
    return wanted if (wanted * rows + 1) * vectors < unit().registers else 1


def emit(builder: Any, element: Any, shape: Shape, x: Operands) -> None:
    """Write a tile's code: start, three nested loops of steps, store."""
    it = _Emitter(builder, element, shape, x.columns)
    sums = [
        [
            [cgutils.alloca_once(builder, it.vector) for _ in range(shape.vectors)]
            for _ in range(shape.rows)
        ]
        for _ in range(copies(shape.rows, shape.vectors))
    ]
    it.start(sums[0], x.start, x.start_row)
    for zero in (y for more in sums[1:] for line in more for y in line):
        builder.store(ir.Constant(it.vector, None), zero)
    _loops(it, x, x.a, x.b, 0, sums, it.multiples(x.a_row))
    for i, where in enumerate(it.rows(x.c, it.multiples(x.c_row))):
        for v in range(shape.vectors):
            total = builder.load(sums[0][i][v])
            for more in sums[1:]:
                total = builder.fadd(total, builder.load(more[i][v]))
            it.store(total, where, v)


def _loops(
    it: _Emitter, x: Operands, a: Any, b: Any, depth: int, sums: list[Any], a_rows: list[Any]
) -> None:
    """The loops from `depth` on; the innermost turns over the sets of sums."""
    builder, count = it.builder, x.counts[depth]
    now_a = cgutils.alloca_once_value(builder, a)
    now_b = cgutils.alloca_once_value(builder, b)
    builder.store(a, now_a)
    builder.store(b, now_b)

    def turns(times: Any, inner: Sequence[Callable[[Any, Any], None]]) -> None:
        with cgutils.for_range(builder, times, intp=I64):
            for each in inner:
                here_a, here_b = builder.load(now_a), builder.load(now_b)
                each(here_a, here_b)
                builder.store(it.at(here_a, x.a_steps[depth]), now_a)
                builder.store(it.at(here_b, x.b_steps[depth]), now_b)

    def deeper(a: Any, b: Any) -> None:
        _loops(it, x, a, b, depth + 1, sums, a_rows)

    if depth < 2:
        turns(count, [deeper])
        return
    steps = [functools.partial(it.step, each, a_rows) for each in sums]
    if len(sums) > 1:
        turns(builder.udiv(count, _constant(len(sums))), steps)
        count = builder.urem(count, _constant(len(sums)))
    turns(count, steps[:1])


def _bytes_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Where an array or a pointer points to, as a pointer to bytes."""
    data = context.make_array(kind)(context, builder, value).data if kind_is_array(kind) else value
    return builder.bitcast(data, BYTES)


def kind_is_array(kind: Any) -> bool:
    return isinstance(kind, types.Array)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
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
        size = 8 if isinstance(number, ir.DoubleType) else 4
        scaled = [
            builder.mul(v, _constant(size)) if kind is n else v for kind, v in zip(given, values)
        ]
        at = [
            builder.gep(_bytes_of(target, builder, given[i], values[i]), [scaled[i + 1]])
            for i in (2, 8, 13)
        ]
        adds = builder.icmp_signed("!=", values[19], _constant(0))
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
