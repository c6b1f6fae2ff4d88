"""The operations of chains, and the machine that runs programs of them: one loop per operation.

A program is a list of instructions, ``WORDS`` words each: the number of the operation, then the
places of the slots of its result and of up to ``WORDS - 2`` operands. A slot is three words: an
address, the bytes to go on by from step to step, and an address that the kernel keeps. An operand
may be still: it lies in one vector, the same for all steps, and has loops of its own where it is
common, since what limits these loops is how often they load and store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir

from tensorgraph_numba.kernels import chain_lanes as lanes
from tensorgraph_numba.kernels.chain_lanes import Lanes
from tensorgraph_numba.late import cgutils, intrinsic, types

WORDS = 7
WORD, BYTE = ir.IntType(64), ir.IntType(8)


class Operation(NamedTuple):
    """What is done to the lanes of operands; the sets of operands that may be still; the dtypes in
    which it takes one number at a time."""

    emit: Callable[..., Lanes]
    operands: int
    still: tuple[tuple[int, ...], ...] = ()
    singly: tuple[str, ...] = ()


def _compare(comparison: str, *still: tuple[int, ...]) -> Operation:
    return Operation(lambda x, y: x.where(comparison, y, 1.0, 0.0), 2, still)


def _of_library(name: str, operands: int = 1) -> Operation:
    return Operation(lambda *xs: xs[0].library(name, *xs[1:]), operands, (), ("float32", "float64"))


def _fitted(function: Callable[[Lanes], Lanes]) -> Operation:
    return Operation(function, 1, (), ("float64",))


OPERATIONS: dict[str, Operation] = {
    "copy": Operation(lambda x: x, 1),
    "load": Operation(lambda x: x, 1),  # from bytes
    "store": Operation(lambda x: x, 1),  # to bytes
    "add": Operation(lambda x, y: x + y, 2, ((1,),)),
    "subtract": Operation(lambda x, y: x - y, 2, ((0,), (1,))),
    "multiply": Operation(lambda x, y: x * y, 2, ((1,),)),
    "divide": Operation(lambda x, y: x / y, 2, ((0,),)),
    "maximum": Operation(lanes.larger, 2, ((1,),)),
    "minimum": Operation(lanes.smaller, 2, ((1,),)),
    "equal": _compare("==", (1,)),
    "not_equal": _compare("!=", (1,)),
    "greater": _compare(">", (0,), (1,)),
    "greater_equal": _compare(">=", (0,), (1,)),
    "where": Operation(lambda x, y, z: x.where("!=", 0.0, y, z), 3, ((2,),)),
    "square": Operation(lambda x: x * x, 1),
    "abs": Operation(lanes.absolute, 1),
    "sqrt": Operation(lambda x: x.intrinsic("sqrt"), 1),
    "rsqrt": Operation(lambda x: 1.0 / x.intrinsic("sqrt"), 1),
    "floor": Operation(lambda x: x.intrinsic("floor"), 1),
    "ceil": Operation(lambda x: x.intrinsic("ceil"), 1),
    "round": Operation(lambda x: x.intrinsic("rint"), 1),
    "sign": Operation(lambda x: x.where(">", 0.0, 1.0, x.where("<", 0.0, -1.0, x)), 1),
    "exp": _fitted(lanes.exp),
    "expm1": _fitted(lanes.expm1),
    "log": _fitted(lanes.log),
    "log1p": _fitted(lanes.log1p),
    "tanh": _fitted(lanes.tanh),
    "sigmoid": _fitted(lanes.sigmoid),
    "erf": _fitted(lanes.erf),
    **{name: _of_library(name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: _of_library(name) for name in ("sinh", "cosh")},
    "pow": _of_library("pow", 2),
    # several operations in one, so that what lies between them stays in a register
    "add_add": Operation(lambda x, y, z: x + y + z, 3, ((2,),)),
    "add_multiply": Operation(lambda x, y, z: (x + y) * z, 3, ((2,), (1,), (1, 2))),
    "subtract_multiply": Operation(lambda x, y, z: (x - y) * z, 3, ((2,), (1, 2))),
    "multiply_multiply": Operation(lambda x, y, z: x * y * z, 3, ((2,),)),
    "multiply_add": Operation(lambda x, y, z: x * y + z, 3, ((1,), (2,), (1, 2))),
    "multiply_subtract": Operation(lambda x, y, z: x * y - z, 3, ((1,), (1, 2))),
    "subtract_product": Operation(lambda x, y, z: z - x * y, 3, ((1,), (2,))),
    "subtract_multiply_add": Operation(lambda x, y, z, w: (x - y) * z + w, 4, ((2,),)),
    "approach": Operation(lambda x, y, z: (x - y) * z + y, 3, ((2,),)),
    "add_products": Operation(lambda x, y, z, w: x * y + z * w, 4, ((1, 3),)),
    "add_product": Operation(lambda x, y, z, w, u: x * y * z + w * u, 5, ((2, 4),)),
    "add_square": Operation(lambda x, y, z, w: x * x * y + z * w, 4, ((1, 3),)),
    "sqrt_add": Operation(lambda x, y: x.intrinsic("sqrt") + y, 2, ((1,),)),
    "sqrt_multiply_add": Operation(lambda x, y, z: x.intrinsic("sqrt") * y + z, 3, ((1, 2),)),
    "subtract_quotient": Operation(lambda x, y, z, w: w - x / y * z, 4, ((2,),)),
    "greater_multiply": Operation(lambda x, y, z: x.where(">", y, 1.0, 0.0) * z, 3, ((1,),)),
    "greater_where": Operation(lambda x, y, z, w: x.where(">", y, z, w), 4, ((1,), (1, 3))),
    "add_maximum": Operation(lambda x, y, z: lanes.larger(x + y, z), 3, ((2,),)),
    "multiply_add_maximum": Operation(
        lambda x, y, z, w: lanes.larger(x * y + z, w), 4, ((3,), (1, 2, 3))
    ),
    "subtract_multiply_add_maximum": Operation(
        lambda x, y, z, w, u: lanes.larger((x - y) * z + w, u), 5, ((4,),)
    ),
    "maximum_minimum": Operation(
        lambda x, y, z: lanes.smaller(lanes.larger(x, y), z), 3, ((1, 2),)
    ),
    # the result is added to what the result's slot holds, which has a period of as many steps as
    # the last word of the instruction says
    "sum": Operation(lambda x: x, 1),
    "sum_product": Operation(lambda x, y: x * y, 2),
    "sum_square": Operation(lambda x: x * x, 1),
    "sum_subtract_multiply": Operation(lambda x, y, z: (x - y) * z, 3),
}
# operations that add up, and those that add the same to another operand, the last
SUMS = {
    "sum": "add",
    "sum_product": "multiply_add",
    "sum_square": "multiply_add",  # with the operand twice
    "sum_subtract_multiply": "subtract_multiply_add",
}
NUMBERS = {
    (name, still): number
    for number, (name, still) in enumerate(
        (name, still) for name, operation in OPERATIONS.items() for still in ((), *operation.still)
    )
}


def number_of(name: str, still: set[int]) -> int:
    """The number of an operation of which these operands are still."""
    served = [s for s in ((), *OPERATIONS[name].still) if still.issuperset(s)]
    return NUMBERS[name, max(served, key=len)]


class _Slot(NamedTuple):
    """Where an operand is, and how many bytes to go on by."""

    start: Any
    apart: Any


class _Emitter:
    """Emits the machine for one dtype."""

    def __init__(self, builder: Any, dtype: str) -> None:
        self.builder, self.dtype = builder, dtype
        self.count = lanes.number_of_lanes(dtype)
        self.element = lanes.FLOATS[dtype]

    def word(self, words: Any, place: Any, offset: int = 0) -> Any:
        """The word at ``place + offset``."""
        place = self.builder.add(place, ir.Constant(WORD, offset))
        return self.builder.load(self.builder.gep(words, [place]))

    def machine(self, words: Any, program: Any, length: Any, steps: Any) -> None:
        """Run ``length`` instructions, the words from ``program`` on."""
        b = self.builder
        with cgutils.for_range(b, length) as instructions:
            place = b.add(program, b.mul(instructions.index, ir.Constant(WORD, WORDS)))
            end = b.append_basic_block("instruction_end")
            slots = []
            for k in range(1, WORDS):
                slot = self.word(words, place, k)
                address = b.inttoptr(self.word(words, slot), BYTE.as_pointer())
                slots.append(_Slot(address, self.word(words, slot, 1)))
            choice = b.switch(self.word(words, place), end)
            for (name, still), number in NUMBERS.items():
                block = b.append_basic_block(f"{name}_{number}")
                choice.add_case(ir.Constant(WORD, number), block)
                b.position_at_end(block)
                of_operation = slots[: 1 + OPERATIONS[name].operands]
                if name in SUMS:
                    self.sum(name, of_operation, steps, self.word(words, place, WORDS - 1))
                else:
                    self.operation(name, still, of_operation, steps)
                b.branch(end)
            b.position_at_end(end)

    def loop(self, steps: Any, slots: list[_Slot], carried: list[Any], body: Any) -> list[Any]:
        """``steps`` times, at least once: ``body(pointers, carried)``, which gives what is carried
        to the next step; what is carried at last."""
        b = self.builder
        before, loop = b.block, b.append_basic_block("loop")
        after = b.append_basic_block("behind")
        b.branch(loop)
        b.position_at_end(loop)
        entry = []
        for value in [steps, *(slot.start for slot in slots), *carried]:
            entry.append(b.phi(value.type))
            entry[-1].add_incoming(value, before)
        left, pointers, held = entry[0], entry[1 : 1 + len(slots)], entry[1 + len(slots) :]
        changed = body(pointers, held)
        following = [b.sub(left, ir.Constant(WORD, 1))]
        following += [b.gep(p, [slot.apart]) for p, slot in zip(pointers, slots)]
        following += changed
        for phi, value in zip(entry, following):
            phi.add_incoming(value, b.block)
        b.cbranch(b.icmp_signed("!=", following[0], ir.Constant(WORD, 0)), loop, after)
        b.position_at_end(after)
        return changed

    def operation(self, name: str, still: tuple[int, ...], slots: list[_Slot], steps: Any) -> None:
        """The loop of an operation."""
        b = self.builder
        operands = slots[1:]
        held = {k: self.read(name, operands[k].start, self.count) for k in still}
        moving = [k for k in range(len(operands)) if k not in still]

        def step(pointers: list[Any], count: int) -> None:
            read = {k: self.read(name, p, count) for k, p in zip(moving, pointers[1:])}
            values = [held[k] if k in held else read[k] for k in range(len(operands))]
            self.write(name, pointers[0], OPERATIONS[name].emit(*values))

        def body(pointers: list[Any], _: list[Any]) -> list[Any]:
            if self.dtype not in OPERATIONS[name].singly:
                step(pointers, self.count)
                return []
            with cgutils.for_range(b, ir.Constant(WORD, self.count)) as each:
                size = ir.Constant(WORD, lanes.WIDTH // self.count)
                step([b.gep(p, [b.mul(each.index, size)]) for p in pointers], 1)
            return []

        self.loop(steps, [slots[0], *(operands[k] for k in moving)], [], body)

    def sum(self, name: str, slots: list[_Slot], steps: Any, period: Any) -> None:
        """For each step of the period: load the sum, add that step of each period, store it."""
        b = self.builder
        more = b.icmp_signed("<", period, steps)
        rounds = b.select(more, period, steps)
        apart = [_Slot(s.start, b.mul(s.apart, period)) for s in slots[1:]]

        def one_step(pointers: list[Any], held: list[Any]) -> list[Any]:
            left = held[0]
            turns = b.add(b.sdiv(b.sub(left, ir.Constant(WORD, 1)), period), ir.Constant(WORD, 1))

            def add(at: list[Any], total: list[Any]) -> list[Any]:
                values = [self.read(name, p, self.count) for p in at]
                held = values[0].like(total[0])
                return [(OPERATIONS[name].emit(*values) + held).value]

            start = self.read(name, pointers[0], self.count).value
            streams = [_Slot(p, s.apart) for p, s in zip(pointers[1:], apart)]
            total = self.loop(turns, streams, [start], add)
            self.write(name, pointers[0], Lanes(b, total[0], self.dtype, self.count))
            return [b.sub(left, ir.Constant(WORD, 1))]

        self.loop(rounds, slots, [steps], one_step)

    def read(self, name: str, pointer: Any, count: int) -> Lanes:
        """The numbers at an address; it need not be a multiple of a vector's size."""
        b = self.builder
        element = BYTE if name == "load" else self.element
        kind = element if count == 1 else ir.VectorType(element, count)
        value = b.load(b.bitcast(pointer, kind.as_pointer()), align=1 if name == "load" else 4)
        if name == "load":
            value = b.uitofp(value, ir.VectorType(self.element, count))
        return Lanes(b, value, self.dtype, count)

    def write(self, name: str, pointer: Any, result: Lanes) -> None:
        b, value = self.builder, result.value
        if name == "store":
            value = b.fptoui(value, ir.VectorType(BYTE, result.count))
        b.store(
            value, b.bitcast(pointer, value.type.as_pointer()), align=1 if name == "store" else 4
        )


@intrinsic
def execute(context: Any, words: Any, program: Any, length: Any, steps: Any, like: Any) -> Any:
    """Run the ``length`` instructions at ``words[program:]``: ``steps`` steps each, at least 1."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        form = ir.FunctionType(ir.VoidType(), [WORD.as_pointer(), WORD, WORD, WORD])
        name = f"tensorgraph_chain_{like}"
        machine = builder.module.globals.get(name)
        if machine is None:  # one for all places that call it
            machine = ir.Function(builder.module, form, name)
            machine.linkage = "internal"
            machine.attributes.add("noinline")
            machine.attributes.add("optsize")  # loops are not unrolled: they are wide already
            inside = ir.IRBuilder(machine.append_basic_block("entry"))
            _Emitter(inside, str(like)).machine(*machine.args)
            inside.ret_void()
        builder.call(machine, values[:4])
        return target.get_dummy_value()

    whole = types.int64
    return types.void(words, whole, whole, whole, like), generate
