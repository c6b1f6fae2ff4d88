"""Which calls run together as one chain, and the steps of it.

A chain visits every element once: elementwise calls of one shape, and sums of what they compute.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from tensorgraph_numpy.plan.split import ELEMENTWISE

from tensorgraph.program import Call, Program, Value
from tensorgraph_numba.kernels.chain import Step


class Ref(NamedTuple):
    """An input of a chain, or one of its steps."""

    is_step: bool
    place: int


SUMS = frozenset({"sum", "sum_to"})
DTYPES = ("float32", "float64")


def space(call: Call) -> tuple[int, ...] | None:
    """The shape that a call of a chain goes through; None where it belongs to none."""
    name, out = call.op.name, call.out.spec
    dtypes = {x.spec.dtype for x in (*call.inputs, call.out)} - {"bool"}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES) or not out.size:
        return None
    if name in SUMS:
        x = call.inputs[0].spec
        return x.shape if x.dtype in DTYPES and _summable(call) else None
    if name not in ELEMENTWISE or (name == "cast" and out.dtype == "bool"):
        return None
    return out.shape


def _summable(call: Call) -> bool:
    """Whether a sum is over everything, over all but the channels, or along the last axis."""
    kept = kept_axes(call)
    ndim = call.inputs[0].spec.ndim
    wide = {axis for axis in kept if call.inputs[0].spec.shape[axis] > 1}
    return wide <= {1} or wide <= {ndim - 1} or (wide == set(range(ndim - 1)) and ndim == 2)


def kept_axes(call: Call) -> list[int]:
    """The axes of the input of a sum that are left."""
    (x,), out = call.inputs, call.out.spec
    if call.op.name == "sum":
        return [axis for axis in range(x.spec.ndim) if axis not in call.params["axis"]]
    lead = x.spec.ndim - out.ndim
    return [
        axis for axis in range(lead, x.spec.ndim) if out.shape[axis - lead] == x.spec.shape[axis]
    ]


CHEAP = frozenset({"equal", "greater", "greater_equal", "less", "less_equal", "not_equal", "cast"})


def _cheap(call: Call) -> bool:
    """Whether a call reads no more than its result would be: one large value, small others."""
    if space(call) is None:
        return False
    if call.op.name in CHEAP:
        return True
    large = [x for x in call.inputs if x.spec.shape == call.out.spec.shape]
    return call.op.name in ("add", "subtract", "multiply") and len(large) == 1


def delayed(program: Program) -> tuple[Program, set[Value]]:
    """The program with cheap calls where their results are used: to compute them again there takes
    no more time than to read them. Also the values that are to wait for those who use them."""
    kept = set(program.results())
    for call in program.calls:
        if space(call) is None:
            kept.update(call.inputs)  # who is no chain wants it in memory
    put_off: dict[Value, Call] = {}
    calls: list[Call] = []
    late: set[Value] = set()

    def again(value: Value) -> Value:
        """The value of a call that was put off, computed here."""
        call = put_off[value]
        inputs = tuple(again(x) if x in put_off else x for x in call.inputs)
        made = dataclasses.replace(call, inputs=inputs, out=Value(value.spec))
        calls.append(made)
        late.add(made.out)
        return made.out

    for call in program.calls:
        if _cheap(call) and call.out not in kept:
            put_off[call.out] = call
        elif any(x in put_off for x in call.inputs):
            inputs = tuple(again(x) if x in put_off else x for x in call.inputs)
            calls.append(dataclasses.replace(call, inputs=inputs))
        else:
            calls.append(call)
    return dataclasses.replace(program, calls=calls), late


class Groups:
    """The calls of a phase in groups that run together.

    A call joins the groups of its inputs that go through the same shape, unless something else
    would have to run between them.
    """

    def __init__(self, calls: Sequence[Call], alone: Collection[Value], late: set[Value]) -> None:
        self.calls: dict[int, list[Call]] = {}  # number of a group → its calls
        self.needs: dict[int, set[int]] = {}  # → the groups that make its inputs
        self.shapes: dict[int, Any] = {}
        self.at: dict[Value, int] = {}  # → the group that makes it
        self.place = {call.out: i for i, call in enumerate(calls)}
        waiting: list[Call] = []
        for call in calls:
            if call.out in late:
                waiting.append(call)
                continue
            self._add(call, None if call.out in alone else space(call), waiting)
            waiting = []
        for call in waiting:  # those who use them are in later phases
            self._add(call, None if call.out in alone else space(call), [])

    def _add(self, call: Call, shape: Any, waiting: list[Call]) -> None:
        """Put a call, and those that waited for it, into one group, or into groups of their own."""
        together = [c for c in waiting if shape is not None and space(c) == shape]
        for before in waiting:
            if before not in together:
                self._add(before, space(before), [])
        made = {c.out for c in together}
        inputs = {x for c in (*together, call) for x in c.inputs if x not in made}
        sources = {self.at[x] for x in inputs if x in self.at}
        mine = max(self.calls, default=-1) + 1
        self.calls[mine], self.needs[mine] = [*together, call], set(sources)
        self.shapes[mine] = shape
        for c in self.calls[mine]:
            self.at[c.out] = mine
        for other in sorted(sources, reverse=True):
            if shape is not None and self.shapes[other] == shape and self._apart(mine, other):
                self._merge(mine, other)

    def _apart(self, one: int, other: int) -> bool:
        """Whether nothing has to run between two groups."""
        between = (self.needs[one] - {other}, other), (self.needs[other] - {one}, one)
        return not any(self._waits(group, goal) for start, goal in between for group in start)

    def _waits(self, group: int, goal: int) -> bool:
        """Whether a group can only run after another."""
        stack, seen = [group], set()
        while stack:
            here = stack.pop()
            if here == goal:
                return True
            if here not in seen:
                seen.add(here)
                stack.extend(self.needs[here])
        return False

    def _merge(self, one: int, other: int) -> None:
        calls = self.calls[one] + self.calls.pop(other)
        self.calls[one] = sorted(calls, key=lambda call: self.place[call.out])
        self.needs[one] = (self.needs[one] | self.needs.pop(other)) - {one, other}
        del self.shapes[other]
        for needs in self.needs.values():
            if other in needs:
                needs.remove(other)
                needs.add(one)
        for call in self.calls[one]:
            self.at[call.out] = one

    def ordered(self) -> list[list[Call]]:
        """The groups, each after those that it needs, else in the order of their first calls."""
        order: list[int] = []
        done: set[int] = set()
        for first in sorted(self.calls, key=lambda g: self.place[self.calls[g][0].out]):
            stack = [first]
            while stack:
                missing = sorted(self.needs[stack[-1]] - done)
                if stack[-1] in done:
                    stack.pop()
                elif missing:
                    stack.append(missing[0])
                else:
                    done.add(stack[-1])
                    order.append(stack.pop())
        return [self.calls[group] for group in order]


class Steps:
    """The steps of a chain as it is put together."""

    def __init__(self) -> None:
        self.inputs: list[Value | float] = []
        self.steps: list[tuple[str, tuple[Ref, ...]]] = []
        self._made: dict[Any, Ref] = {}

    def read(self, x: Value | float) -> Ref:
        """A value that the chain has made, or reads, or a number."""
        key = x if isinstance(x, Value) else repr(x)
        if key not in self._made:
            self._made[key] = Ref(False, len(self.inputs))
            self.inputs.append(x)
        return self._made[key]

    def emit(self, op: str, *operands: Ref | float) -> Ref:
        """Add a step."""
        step = op, tuple(x if isinstance(x, Ref) else self.read(float(x)) for x in operands)
        if step not in self._made:  # calls that run again may meet in one chain
            self._made[step] = Ref(True, len(self.steps))
            self.steps.append(step)
        return self._made[step]

    def add(self, call: Call) -> None:
        """Add an elementwise call."""
        rule = COMPOSED.get(call.op.name)
        operands = [self.read(x) for x in call.inputs]
        made = rule(self, call, *operands) if rule else self.emit(call.op.name, *operands)
        self._made[call.out] = made

    def numbered(self) -> list[Step]:
        """The steps with numbers for operands: the inputs' first, then the steps'."""
        return [Step(op, tuple(self._number(x) for x in refs)) for op, refs in self.steps]

    def index(self, value: Value) -> int:
        return self._number(self._made[value])

    def _number(self, ref: Ref) -> int:
        return ref.place + (len(self.inputs) if ref.is_step else 0)


def _cast(steps: Steps, call: Call, x: Ref) -> Ref:
    return steps.emit("cast", x) if call.inputs[0].spec.dtype == "bool" else x


def _clip(steps: Steps, call: Call, x: Ref) -> Ref:
    if (low := call.params["min"]) is not None:
        x = steps.emit("maximum", x, low)
    if (high := call.params["max"]) is not None:
        x = steps.emit("minimum", x, high)
    return x


def _standardize(
    steps: Steps, call: Call, x: Ref, average: Ref, inverse: Ref, weight: Ref, bias: Ref
) -> Ref:
    deviation = steps.emit("subtract", x, average)
    scaled = steps.emit("multiply", deviation, steps.emit("multiply", inverse, weight))
    return steps.emit("add", scaled, bias)


def _standardize_input(
    steps: Steps,
    call: Call,
    g: Ref,
    x: Ref,
    average: Ref,
    inverse: Ref,
    weight: Ref,
    total: Ref,
    along: Ref,
) -> Ref:
    shapes = call.inputs[1].spec, call.inputs[2].spec
    share = shapes[1].size / shapes[0].size
    slope = steps.emit("multiply", steps.emit("multiply", inverse, along), -share)
    deviation = steps.emit("subtract", x, average)
    sloped = steps.emit("add", steps.emit("multiply", deviation, slope), g)
    level = steps.emit("subtract", sloped, steps.emit("multiply", total, share))
    return steps.emit("multiply", level, steps.emit("multiply", inverse, weight))


COMPOSED: dict[str, Callable[..., Ref]] = {
    "isnan": lambda steps, call, x: steps.emit("not_equal", x, x),
    "rsqrt": lambda steps, call, x: steps.emit("divide", 1.0, steps.emit("sqrt", x)),
    "square": lambda steps, call, x: steps.emit("multiply", x, x),
    "cast": _cast,
    "clip": _clip,
    "standardize": _standardize,
    "standardize_input": _standardize_input,
}
