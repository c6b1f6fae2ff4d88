"""Vectors of 64 bytes as values in kernels: 16 float32, 8 float64, and masks of as many.

Numba's own vectoriser tests at run time which arrays overlap and finishes each row with scalars;
for rows of a few channels that costs more than the work. Here a kernel says itself what a vector
is, and ``+ - * == & ^ >> ~`` apply to whole vectors:

    for c in range(0, channels, lanes(like)):
        mask = first(channels - c, like)
        v = load_masked(x, i + c, mask)
        store_masked(out, j + c, v * v, mask)

``x`` is a ``pointer``: indexed without any check. With AVX-512 a masked access costs no more than
another. Where registers are shorter, LLVM splits a vector. Unlike in Numba's scalar arithmetic
nothing is reordered: only a product and a sum may become one instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tensorgraph_numba.late import cgutils, intrinsic, late, types
from tensorgraph_numba.vector import unit

BITS = 512
I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
FLAGS = ("contract", "nsz")
VECTORS = "tensorgraph_numba.vectors"
Vector = late(VECTORS, "Vector")  # (element, count): the type of a vector


def instruction(function: Callable[..., Any]) -> Any:
    """Declare a Numba intrinsic: what kernels call, with values in place of types."""
    return intrinsic(function, needs=VECTORS)


def form_of(vector: Any) -> Any:
    """Its LLVM type."""
    element = vector.element
    if isinstance(element, types.Float):
        one = ir.FloatType() if element.bitwidth == 32 else ir.DoubleType()
    else:
        one = I1 if element == types.boolean else ir.IntType(element.bitwidth)
    return ir.VectorType(one, vector.count)


def whole(element: Any) -> Any:
    """The vector of 64 bytes."""
    return Vector(element, BITS // element.bitwidth)


# What intrinsics are made of


def splat(builder: Any, scalar: Any, count: int) -> Any:
    """A scalar in every lane."""
    nothing = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(I32, 0))
    return shuffle(builder, first, nothing, [0] * count)


def shuffle(builder: Any, x: Any, y: Any, lanes: list[int]) -> Any:
    """The lanes of ``x`` followed by ``y`` that are named."""
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


def suffix(form: Any) -> str:
    """What LLVM's names append for a vector type, as "v16f32"."""
    if isinstance(form.element, ir.IntType):
        return f"v{form.count}i{form.element.width}"
    return f"v{form.count}f{32 if form.element == ir.FloatType() else 64}"


def call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Call one of LLVM's own functions."""
    found = builder.module.globals.get(name)
    form = ir.FunctionType(result, [x.type for x in arguments])
    return builder.call(found or ir.Function(builder.module, form, name), arguments)


def place(builder: Any, pointer: Any, i: Any, form: Any) -> Any:
    """Where the vector begins whose first lane is element ``i``."""
    return builder.bitcast(builder.gep(pointer, [i]), form.as_pointer())


def align(pointer: Any) -> int:
    return int(pointer.dtype.bitwidth // 8)


# Pointers, loads and stores


@instruction
def pointer(context: Any, address: Any, like: Any) -> Any:
    """The memory at an address, as elements of the type of ``like``."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return types.CPointer(like)(types.int64, like), generate


@instruction
def lanes(context: Any, like: Any) -> Any:
    """How many numbers of this type a vector has."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(I64, BITS // like.bitwidth)

    return types.int64(like), generate


@instruction
def spread(context: Any, value: Any, like: Any) -> Any:
    """A number in every lane, as the type of ``like``."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        scalar = target.cast(builder, arguments[0], value, like)
        return splat(builder, scalar, signature.return_type.count)

    return whole(like)(value, like), generate


@instruction
def first(context: Any, n: Any, like: Any) -> Any:
    """The mask of the first ``n`` lanes; of all where there are not as many."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = signature.return_type.count
        room = ir.Constant(I64, count)
        n = builder.select(builder.icmp_signed("<", arguments[0], room), arguments[0], room)
        numbers = ir.Constant(ir.VectorType(I32, count), list(range(count)))
        return builder.icmp_signed("<", numbers, splat(builder, builder.trunc(n, I32), count))

    return Vector(types.boolean, whole(like).count)(types.int64, like), generate


def _masked(builder: Any, mask: Any, of_all: Callable[[], None], of_some: Any) -> None:
    """Emit a masked access. Without registers of masks it is slow, and full masks are rather
    looked for."""
    if unit().name == "avx512":
        of_some()
        return
    bits = builder.bitcast(mask, ir.IntType(mask.type.count))
    full = builder.icmp_unsigned("==", bits, bits.type(2**mask.type.count - 1))
    with builder.if_else(full, likely=True) as (then, otherwise):
        with then:
            of_all()
        with otherwise:
            of_some()


def _loaded(source: Any, vector: Any, *mask: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form, size = form_of(vector), align(source)
        where = place(builder, arguments[0], arguments[1], form)
        if not mask:
            return builder.load(where, align=size)
        found = cgutils.alloca_once(builder, form)
        name = f"llvm.masked.load.{suffix(form)}.p0"
        rest = ir.Constant(I32, size), arguments[2], ir.Constant(form, None)
        _masked(
            builder,
            arguments[2],
            lambda: builder.store(builder.load(where, align=size), found),
            lambda: builder.store(call(builder, name, form, where, *rest), found),
        )
        return builder.load(found)

    return vector(source, types.int64, *mask), generate


@instruction
def load(context: Any, source: Any, i: Any) -> Any:
    """The vector that begins at element ``i``."""
    return _loaded(source, whole(source.dtype))


@instruction
def load_masked(context: Any, source: Any, i: Any, mask: Any) -> Any:
    """As ``load``, of as many elements as the mask has lanes; where it is not set, nothing is read
    and the lane is 0."""
    return _loaded(source, Vector(source.dtype, mask.count), mask)


def _stored(to: Any, v: Any, *mask: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form, size = form_of(v), align(to)
        where = place(builder, arguments[0], arguments[1], form)

        def of_all() -> None:
            builder.store(arguments[2], where, align=size)

        def of_some() -> None:
            name = f"llvm.masked.store.{suffix(form)}.p0"
            rest = where, ir.Constant(I32, size), arguments[3]
            call(builder, name, ir.VoidType(), arguments[2], *rest)

        if mask:
            _masked(builder, arguments[3], of_all, of_some)
        else:
            of_all()
        return target.get_dummy_value()

    return types.void(to, types.int64, v, *mask), generate


@instruction
def store(context: Any, to: Any, i: Any, v: Any) -> Any:
    """Write a vector from element ``i`` on."""
    return _stored(to, v)


@instruction
def store_masked(context: Any, to: Any, i: Any, v: Any, mask: Any) -> Any:
    """As ``store``; where the mask is not set, nothing is written."""
    return _stored(to, v, mask)
