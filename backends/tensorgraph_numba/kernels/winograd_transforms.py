"""Winograd's transforms in two dimensions, on vectors of channels in registers; transposition.

A transform reads and writes through tables of addresses, one per point. So one code serves images,
whose points outside lead to zeros (or to where nobody reads), planes of scratch, and weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tensorgraph_numba.kernels import winograd_formulas as formulas
from tensorgraph_numba.late import cgutils, intrinsic, types
from tensorgraph_numba.vector import unit

I32, I64 = ir.IntType(32), ir.IntType(64)


def _intrinsic(function: Callable[..., Any]) -> Any:
    """Declare what kernels call with values in place of types."""
    return intrinsic(function)


def _splat(builder: Any, scalar: Any, count: int) -> Any:
    form = ir.VectorType(scalar.type, count)
    nothing = ir.Constant(form, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, count), [0] * count)
    return builder.shuffle_vector(first, nothing, zeros)


class Memory:
    """Reads and writes vectors at addresses; where ``left`` is given, only their first ``left``
    lanes: the others read 0."""

    def __init__(self, builder: Any, like: Any, left: Any = None) -> None:
        element = ir.FloatType() if like == types.float32 else ir.DoubleType()
        self.builder, self.lanes, self.size = builder, unit().lanes(like.name), like.bitwidth // 8
        self.form = ir.VectorType(element, self.lanes)
        self.zeros = ir.Constant(self.form, None)
        self.mask = None if left is None else self._first(left)

    def _first(self, left: Any) -> Any:
        numbers = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        left = _splat(self.builder, self.builder.trunc(left, I32), self.lanes)
        return self.builder.icmp_signed("<", numbers, left)

    def _masked(self, name: str, result: Any, *arguments: Any) -> Any:
        name = f"llvm.masked.{name}.v{self.lanes}f{self.size * 8}.p0"
        form = ir.FunctionType(result, [x.type for x in arguments])
        called = cgutils.get_or_insert_function(self.builder.module, form, name)
        return self.builder.call(called, arguments)

    def load(self, address: Any) -> Any:
        pointer = self.builder.inttoptr(address, self.form.as_pointer())
        if self.mask is None:
            return self.builder.load(pointer, align=self.size)
        align = ir.Constant(I32, self.size)
        return self._masked("load", self.form, pointer, align, self.mask, self.zeros)

    def store(self, value: Any, address: Any) -> None:
        pointer = self.builder.inttoptr(address, self.form.as_pointer())
        if self.mask is None:
            self.builder.store(value, pointer, align=self.size)
            return
        align = ir.Constant(I32, self.size)
        self._masked("store", ir.VoidType(), value, pointer, align, self.mask)


class _Emitter:
    """Writes one transform, ``read * read`` vectors to ``written * written``, at a place."""

    def __init__(self, one: Any, read: int, written: int) -> None:
        self.one, self.read, self.written = one, read, written

    def body(self, source: Memory, target: Memory, sources: Any, targets: Any, add: Any) -> None:
        """Column by column as the points are read: LLVM keeps the order, and so the registers."""
        columns = []
        for j in range(self.read):
            column = [source.load(sources(i * self.read + j)) for i in range(self.read)]
            columns.append(self.one([formulas.Term(source.builder, x) for x in column]))
        for i in range(self.written):
            row = self.one([column[i] for column in columns])
            for j, x in enumerate(row):
                place, value = targets(i * self.written + j), x.value
                if add is not None:
                    before = target.builder.select(add, target.load(place), target.zeros)
                    value = target.builder.fadd(value, before)
                target.store(value, place)


def _addresses(builder: Any, table: Any, shift: Any) -> Any:
    """The function that reads the i-th address of a table."""

    def address(i: int) -> Any:
        return builder.add(builder.load(builder.gep(table, [ir.Constant(I64, i)])), shift)

    return address


def _transform(one: Any, read: int, written: int, scratch: str) -> Any:
    """An intrinsic ``(sources, source_shift, targets, target_shift, channels, add, like)``.

    ``sources`` and ``targets`` are tables of addresses, ``read * read`` and ``written * written``,
    to which the shifts (bytes) are added; at each lie ``channels`` numbers one after the other.
    The side that ``scratch`` names ("source" or "target") is read or written in whole vectors,
    zeros behind the last channel. ``add`` not 0, where weights are written: to what is there.
    """
    emitter = _Emitter(one, read, written)

    @_intrinsic
    def made(
        context: Any, sources: Any, source_shift: Any, targets: Any, target_shift: Any,
        channels: Any, add: Any, like: Any,
    ) -> Any:  # fmt: skip
        def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            adds = None
            if written == 3:
                adds = builder.icmp_signed("!=", values[5], ir.Constant(I64, 0))

            def body(start: Any, whole: bool) -> None:
                left = None if whole else builder.sub(values[4], start)
                image, plane = Memory(builder, like, left), Memory(builder, like)
                moved = builder.mul(start, ir.Constant(I64, plane.size))
                tables = [
                    _addresses(builder, values[i], builder.add(values[i + 1], moved))
                    for i in (0, 2)
                ]
                pair = (plane, image) if scratch == "source" else (image, plane)
                emitter.body(pair[0], pair[1], tables[0], tables[1], adds)

            lanes = ir.Constant(I64, unit().lanes(like.name))
            zero = ir.Constant(I64, 0)
            if unit().name == "avx512":  # a mask costs nothing
                with cgutils.for_range_slice(builder, zero, values[4], lanes, I64) as (start, _):
                    body(start, False)
            else:
                rest = builder.srem(values[4], lanes)
                full = builder.sub(values[4], rest)
                with cgutils.for_range_slice(builder, zero, full, lanes, I64) as (start, _):
                    body(start, True)
                with builder.if_then(builder.icmp_signed("!=", rest, zero)):
                    body(full, False)
            return target.get_dummy_value()

        n = types.int64
        return types.void(sources, n, targets, n, n, n, like), generate

    return made


input_2 = _transform(formulas.input_2, 4, 4, "target")
input_4 = _transform(formulas.input_4, 6, 6, "target")
output_2 = _transform(formulas.output_2, 4, 2, "source")
output_4 = _transform(formulas.output_4, 6, 4, "source")
weight_2 = _transform(formulas.weight_2, 3, 4, "target")
weight_4 = _transform(formulas.weight_4, 3, 6, "target")
output_gradient_2 = _transform(formulas.output_gradient_2, 2, 4, "target")
output_gradient_4 = _transform(formulas.output_gradient_4, 4, 6, "target")
weight_gradient_2 = _transform(formulas.weight_gradient_2, 4, 3, "source")
weight_gradient_4 = _transform(formulas.weight_gradient_4, 6, 3, "source")


@_intrinsic
def transpose(
    context: Any, source: Any, source_row: Any, rows: Any, columns: Any,
    target: Any, target_row: Any, like: Any,
) -> Any:  # fmt: skip
    """``target[j, i] = source[i, j]`` for a square of lanes x lanes numbers: addresses, and bytes
    between rows. Of ``source`` no more than ``rows`` x ``columns`` are read; the target, scratch,
    is written whole."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        start, step, count, left, end, target_step, _ = values
        image, scratch = Memory(builder, like, left), Memory(builder, like)
        lanes = image.lanes
        last = builder.sub(count, ir.Constant(I64, 1))
        square = []
        for i in range(lanes):
            row = ir.Constant(I64, i)
            row = builder.select(builder.icmp_signed("<", row, last), row, last)
            square.append(image.load(builder.add(start, builder.mul(row, step))))
        half = lanes // 2
        while half:  # swap the off-diagonal halves of ever smaller squares
            for i in (i for i in range(lanes) if not i & half):
                above, below = square[i], square[i + half]
                square[i] = _shuffle(builder, above, below, lanes, half, 0)
                square[i + half] = _shuffle(builder, above, below, lanes, half, half)
            half //= 2
        for i, row in enumerate(square):
            scratch.store(row, builder.add(end, builder.mul(target_step, ir.Constant(I64, i))))
        return context.get_dummy_value()

    n = types.int64
    return types.void(n, n, n, n, n, n, like), generate


def _shuffle(builder: Any, above: Any, below: Any, lanes: int, half: int, first: int) -> Any:
    """Blocks of ``half`` numbers, from lane ``first`` on every second, of both in turns."""
    picked = [j - (j & half) + first + (lanes if j & half else 0) for j in range(lanes)]
    return builder.shuffle_vector(above, below, ir.Constant(ir.VectorType(I32, lanes), picked))


@_intrinsic
def itemsize(context: Any, like: Any) -> Any:
    """Bytes of a number."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(I64, like.bitwidth // 8)

    return types.int64(like), generate


@_intrinsic
def lanes(context: Any, like: Any) -> Any:
    """Numbers in a register."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(I64, unit().lanes(like.name))

    return types.int64(like), generate


@_intrinsic
def pointer(context: Any, address: Any, like: Any) -> Any:
    """The numbers at an address, with the type of ``like``: indexed without checks."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], target.get_value_type(signature.return_type))

    return types.CPointer(like)(types.int64, like), generate
