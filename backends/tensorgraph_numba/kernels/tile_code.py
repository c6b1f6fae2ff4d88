"""The code of a tile: LLVM instructions for its sums in registers; ``tile`` says what it is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from tensorgraph_numba.late import cgutils
from tensorgraph_numba.vector import unit

I64 = ir.IntType(64)
I32 = ir.IntType(32)
BYTE = ir.IntType(8)
BYTES = BYTE.as_pointer()
CONTRACT = ("contract",)  # one instruction where the processor has it

Lines = list[list[Any]]  # variables of vectors, for each row


class Shape(NamedTuple):
    """A tile's rows, vectors, and lanes per vector.

    `masked`: only the first lanes of its last vector are read and written. `lanewise`: A too is a
    row of lanes, A[m * a_row + … + j], as in a depthwise convolution. `summed`, with `lanewise`:
    C is the sum of the lanes, a number for each row: dot products. `taps`, with `lanewise`: so many
    turns has the innermost loop, all at once; then a_row is `shift` * a2, so that rows share what
    they read.
    """

    rows: int
    vectors: int
    lanes: int
    masked: bool = False
    lanewise: bool = False
    summed: bool = False
    taps: int = 0
    shift: int = 0


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


def constant(value: int) -> Any:
    return ir.Constant(I64, value)


def size_of(element: Any) -> int:
    """Bytes of a number."""
    return 8 if isinstance(element, ir.DoubleType) else 4


def copies(rows: int, vectors: int) -> int:
    """How many sets of sums a tile keeps, to be added up at its end: a sum must wait for itself
    some 4 cycles, so few sums would leave the processor idle."""
    wanted = 4 if rows * vectors <= 2 else 2 if rows * vectors < 8 else 1
    return wanted if (wanted * rows + 1) * vectors < unit().registers else 1


class _Emitter:
    """Writes one tile into the function that `builder` is at."""

    def __init__(self, builder: Any, element: Any, shape: Shape, x: Operands) -> None:
        self.builder, self.element, self.shape, self.x = builder, element, shape, x
        self.size = size_of(element)
        self.vector = ir.VectorType(element, shape.lanes)
        self.mask = self._mask() if shape.masked else None

    def _mask(self) -> Any:
        """The lanes of the last vector that count."""
        lanes = ir.VectorType(I64, self.shape.lanes)
        numbers = ir.Constant(lanes, [constant(i) for i in range(self.shape.lanes)])
        return self.builder.icmp_signed("<", numbers, self.splat(self.x.columns, lanes))

    def splat(self, value: Any, vector: Any) -> Any:
        """The vector each of whose lanes is `value`."""
        none = ir.Constant(vector, ir.Undefined)
        one = self.builder.insert_element(none, value, ir.Constant(I32, 0))
        return self._pick(one, [0] * vector.count)

    def _pick(self, value: Any, lanes: Sequence[int]) -> Any:
        """Some lanes of a vector."""
        order = ir.Constant(ir.VectorType(I32, len(lanes)), [ir.Constant(I32, i) for i in lanes])
        return self.builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), order)

    def variables(self) -> Lines:
        """One for each vector of each row, at 0."""
        rows, vectors = range(self.shape.rows), range(self.shape.vectors)
        out = [[cgutils.alloca_once(self.builder, self.vector) for _ in vectors] for _ in rows]
        for x in (x for line in out for x in line):
            self.builder.store(ir.Constant(self.vector, None), x)
        return out

    def multiples(self, row: Any, rows: int) -> list[Any]:
        """Variables that hold a stride, and its triple and quintuple where they serve."""
        times = [n for n in (1, 3, 5) if n < rows]
        products = [self.builder.mul(row, constant(n)) for n in times]
        return [cgutils.alloca_once_value(self.builder, x) for x in products]

    def _hidden(self, value: Any) -> Any:
        """The same value, about which the optimizer knows nothing: no instruction."""
        form = ir.FunctionType(value.type, [value.type])
        return self.builder.asm(form, "", "=r,0", [value], side_effect=True)

    def rows(self, base: Any, multiples: list[Any], rows: int, hide: bool = False) -> list[Any]:
        """Pointers to each row: five from each base, for base + row * {1, 2, 4} and base + triple
        are addresses of x86 themselves. `hide` them from the optimizer, which would otherwise
        keep a pointer to each row and run out of registers."""
        builder = self.builder
        if hide:
            for x in multiples:
                builder.store(self._hidden(builder.load(x)), x)
        row, triple, five = ([builder.load(x) for x in multiples] + [None] * 3)[:3]
        out = []
        for m in range(rows):
            if m and m % 5 == 0:
                base = builder.gep(base, [five])
                base = self._hidden(base) if hide else base
            if m % 5 == 0:
                out.append(base)
            else:
                offset = triple if m % 5 == 3 else builder.mul(row, constant(m % 5))
                out.append(builder.gep(base, [offset]))
        return out

    def _at(self, base: Any, v: int, kind: Any) -> Any:
        where = self.builder.gep(base, [constant(v * self.shape.lanes * self.size)])
        return self.builder.bitcast(where, kind.as_pointer())

    def load(self, base: Any, v: int) -> Any:
        """Vector `v` of the row at `base`."""
        where = self._at(base, v, self.vector)
        if self.mask is None or v < self.shape.vectors - 1:
            return self.builder.load(where, align=self.size)
        form = ir.FunctionType(self.vector, [where.type, I32, self.mask.type, self.vector])
        name = f"llvm.masked.load.v{self.shape.lanes}f{8 * self.size}.p0"
        called = cgutils.get_or_insert_function(self.builder.module, form, name)
        zeros = ir.Constant(self.vector, None)
        return self.builder.call(called, [where, ir.Constant(I32, self.size), self.mask, zeros])

    def store(self, value: Any, base: Any, v: int) -> None:
        where = self._at(base, v, self.vector)
        if self.mask is None or v < self.shape.vectors - 1:
            self.builder.store(value, where, align=self.size)
            return
        form = ir.FunctionType(ir.VoidType(), [self.vector, where.type, I32, self.mask.type])
        name = f"llvm.masked.store.v{self.shape.lanes}f{8 * self.size}.p0"
        called = cgutils.get_or_insert_function(self.builder.module, form, name)
        self.builder.call(called, [value, where, ir.Constant(I32, self.size), self.mask])

    def multiply_add(self, x: Any, factor: Any, column: Any) -> None:
        product = self.builder.fmul(factor, column, flags=CONTRACT)
        self.builder.store(self.builder.fadd(product, self.builder.load(x), flags=CONTRACT), x)

    def step(self, sums: Lines, a_rows: list[Any], a: Any, b: Any) -> None:
        """Add one product to each sum."""
        builder, shape = self.builder, self.shape
        columns = [self.load(b, v) for v in range(shape.vectors)]
        number = self.element.as_pointer()
        for line, where in zip(sums, self.rows(a, a_rows, shape.rows, hide=True)):
            builder.fence("seq_cst", "singlethread")  # no instruction: loads stay where they are
            if not shape.lanewise:
                one = builder.load(builder.bitcast(where, number), align=self.size)
                factors = [self.splat(one, self.vector)] * shape.vectors
            else:
                factors = [self.load(where, v) for v in range(shape.vectors)]
            for x, column, factor in zip(line, columns, factors):
                self.multiply_add(x, factor, column)

    def window(self, sums: Lines, taps: list[Any], weights: list[Any], a: Any, b: Any) -> None:
        """Add `taps` products to each sum; what several rows read is loaded once."""
        shape, vectors = self.shape, range(self.shape.vectors)
        columns = [[self.load(x, v) for v in vectors] for x in self.rows(b, weights, shape.taps)]
        elements = (shape.rows - 1) * shape.shift + shape.taps
        for i, where in enumerate(self.rows(a, taps, elements, hide=True)):
            rows = [(t, (i - t) // shape.shift, (i - t) % shape.shift) for t in range(shape.taps)]
            met = [(t, m) for t, m, rest in rows if rest == 0 and 0 <= m < shape.rows]
            self.builder.fence("seq_cst", "singlethread")
            for v in vectors if met else ():
                factor = self.load(where, v)
                for t, m in met:
                    self.multiply_add(sums[m][v], factor, columns[t][v])

    def sum_of_lanes(self, value: Any) -> Any:
        """All lanes of a vector, halves added until one is left."""
        n = value.type.count
        if n == 1:
            return self.builder.extract_element(value, ir.Constant(I32, 0))
        halves = self._pick(value, range(n // 2)), self._pick(value, range(n // 2, n))
        return self.sum_of_lanes(self.builder.fadd(*halves))

    def start(self, sums: Lines) -> None:
        """Let the sums begin at `start`, where there is one."""
        rows = self.shape.rows
        with self.builder.if_then(self._starts()):
            multiples = self.multiples(self.x.start_row, rows)
            for line, where in zip(sums, self.rows(self.x.start, multiples, rows)):
                for v, variable in enumerate(line):
                    self.builder.store(self.load(where, v), variable)

    def _starts(self) -> Any:
        return self.builder.icmp_unsigned("!=", self.x.start, ir.Constant(BYTES, None))

    def write(self, totals: list[list[Any]]) -> None:
        """Write C."""
        rows = self.shape.rows
        for line, where in zip(
            totals, self.rows(self.x.c, self.multiples(self.x.c_row, rows), rows)
        ):
            for v, total in enumerate(line):
                self.store(total, where, v)

    def write_sums(self, totals: list[list[Any]]) -> None:
        """Write the sums of each row's lanes, plus the start where there is one."""
        builder, x, rows = self.builder, self.x, self.shape.rows
        numbers = [self.sum_of_lanes(functools.reduce(builder.fadd, line)) for line in totals]
        made = [cgutils.alloca_once_value(builder, number) for number in numbers]
        for variable, number in zip(made, numbers):
            builder.store(number, variable)
        with builder.if_then(self._starts()):
            places = self.rows(x.start, self.multiples(x.start_row, rows), rows)
            for variable, where in zip(made, places):
                first = builder.load(self._at(where, 0, self.element), align=self.size)
                builder.store(builder.fadd(builder.load(variable), first), variable)
        for variable, where in zip(made, self.rows(x.c, self.multiples(x.c_row, rows), rows)):
            where = self._at(where, 0, self.element)
            builder.store(builder.load(variable), where, align=self.size)


def emit(builder: Any, element: Any, shape: Shape, x: Operands) -> None:
    """Write a tile's code: start, three nested loops of steps, store."""
    it = _Emitter(builder, element, shape, x)
    sets = 1 if shape.taps else copies(shape.rows, shape.vectors)
    sums = [it.variables() for _ in range(sets)]
    if not shape.summed:
        it.start(sums[0])
    elements = (shape.rows - 1) * shape.shift + shape.taps
    a_rows = it.multiples(x.a_steps[2] if shape.taps else x.a_row, max(shape.rows, elements))
    steps: list[Callable[[Any, Any], None]]
    if shape.taps:
        weights = it.multiples(x.b_steps[2], shape.taps)
        steps = [functools.partial(it.window, sums[0], a_rows, weights)]
    else:
        steps = [functools.partial(it.step, each, a_rows) for each in sums]
    _loops(builder, x, steps, x.a, x.b, 0, 2 if shape.taps else 3)
    totals = [
        [functools.reduce(builder.fadd, map(builder.load, places)) for places in zip(*lines)]
        for lines in zip(*sums)
    ]
    if shape.summed:
        it.write_sums(totals)
    else:
        it.write(totals)


def _loops(
    builder: Any, x: Operands, steps: Sequence[Callable[[Any, Any], None]], a: Any, b: Any,
    depth: int, depths: int,
) -> None:  # fmt: skip
    """The loops from `depth` on; the innermost takes the steps in turn."""
    if depth == depths:
        steps[0](a, b)
        return
    now_a, now_b = (cgutils.alloca_once_value(builder, p) for p in (a, b))
    builder.store(a, now_a)
    builder.store(b, now_b)

    def turns(times: Any, inner: Sequence[Callable[[Any, Any], None]]) -> None:
        with cgutils.for_range(builder, times, intp=I64):
            for each in inner:
                here_a, here_b = builder.load(now_a), builder.load(now_b)
                each(here_a, here_b)
                builder.store(builder.gep(here_a, [x.a_steps[depth]]), now_a)
                builder.store(builder.gep(here_b, [x.b_steps[depth]]), now_b)

    def deeper(a: Any, b: Any) -> None:
        _loops(builder, x, steps, a, b, depth + 1, depths)

    count = x.counts[depth]
    if depth + 1 < depths or len(steps) == 1:
        turns(count, [deeper])
        return
    turns(builder.udiv(count, constant(len(steps))), steps)
    turns(builder.urem(count, constant(len(steps))), steps[:1])
