"""Elementwise calls, and sums of what they compute, as one generated kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tensorgraph.program import Call, Value
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step, Steps
from tensorgraph_cupy.kernels.elementwise import elementwise
from tensorgraph_cupy.kernels.many import Row, many
from tensorgraph_cupy.kernels.moments import REDUCTIONS, TERMS, finished
from tensorgraph_cupy.kernels.reduce import reduce
from tensorgraph_cupy.kernels.space import Space, order_of, spanned
from tensorgraph_cupy.kernels.spelling import SPELLINGS, TYPES
from tensorgraph_cupy.plan.layout import Ints
from tensorgraph_cupy.plan.tasks import Launch, Places, Task

# not by themselves: their spelling wants parameters that no op has
PLAIN = frozenset(SPELLINGS) - {"standardize_input", "unit_interval"}
SUMS = ("sum", "sum_to", "max", "min", "axis_mean", "axis_variance", "standardize_weight")


class Group(NamedTuple):
    """What tells which calls may run together: the shape that they go through, and what is left of
    it by a sum."""

    shape: Ints
    kept: Ints | None = None


def group_of(call: Call) -> Group | None:
    """The shape that a call goes through; None where it belongs to no chain."""
    name, out = call.op.name, call.out.spec
    specs = [out, *(x.spec for x in call.inputs)]
    if not call.inputs or any(s.dtype not in TYPES or s.size == 0 for s in specs):
        return None
    if name not in SUMS:
        known = name in PLAIN or name in ("isnan", "standardize_input")
        words = name == "unit_interval" and out.dtype == "float32"
        return Group(out.shape) if known or words else None
    shape = call.inputs[0].spec.shape
    kept = kept_of(call)
    summed = all(s.dtype == "float32" for s in specs) and shape != ()
    if not summed or not _ordered(call, kept):
        return None
    return Group(shape, kept) if summable(shape, call.inputs, kept) else None


def summable(shape: Ints, operands: Iterable[Value], kept: Ints) -> bool:
    """Whether one kernel can sum up what is computed of these: along neighbours in memory that no
    operand tells apart."""
    space = spanned(shape, [x.spec.shape for x in operands], kept)
    return space.for_reduction() is not None


def _ordered(call: Call, kept: Ints) -> bool:
    """Whether what is left lies in memory in the order of what is summed."""
    axes, left = len(kept), call.out.spec.ndim
    if "keepdims" in call.params and not call.params["keepdims"]:
        own = [axis for axis in range(axes) if axis not in call.params["axis"]]
    else:
        own = list(range(axes - left, axes))
    mine = [own[axis] for axis in order_of(left)]
    wide = [axis for axis in order_of(axes) if kept[axis] != 1]
    return [axis for axis in mine if kept[axis] != 1] == wide


def kept_of(call: Call) -> Ints:
    """The shape that a sum leaves, with as many axes as what it sums."""
    shape, out = call.inputs[0].spec.shape, call.out.spec.shape
    if "keepdims" in call.params:
        return tuple(1 if i in call.params["axis"] else n for i, n in enumerate(shape))
    return (1,) * (len(shape) - len(out)) + out


def are_moments(mean: Call, variance: Call) -> bool:
    """Whether they are the mean and the variance of each channel of the same."""
    if mean.op.name != "axis_mean" or variance.op.name != "axis_variance":
        return False
    x, average = variance.inputs
    kept = (1, *x.spec.shape[1:2], *(1 for _ in x.spec.shape[2:]))
    return mean.inputs == (x,) and average is mean.out and mean.out.spec.shape == kept


class Chained(Task):
    """Calls of one space, and what goes on from their sums. ``outside``: those of their results
    that somebody else reads.

    summing   the calls that sum up
    ends      those that go on from that
    operands  what is read over the space
    beside    what is read for each of the sums
    stored    results over the space
    results   sums, and what is made of them
    """

    def __init__(
        self,
        calls: Sequence[Call],
        outside: set[Value],
        numbers: Mapping[Value, Any],
        storage: Mapping[Value, str],
    ) -> None:
        """``numbers``: scalar constants, which are written into the kernel."""
        super().__init__("chain", calls, [c.out for c in calls if c.out in outside])
        groups = {call: group_of(call) or Group(call.out.spec.shape) for call in calls}
        self.summing = [call for call in calls if groups[call].kept is not None]
        first = groups[(self.summing or self.calls)[0]]
        self.shape, self.kept = first
        self.ends = [call for call in calls if groups[call].shape != self.shape]
        self.moments = len(self.summing) == 2 and are_moments(*self.summing)
        inner = [call for call in calls if call not in self.ends]
        self.operands = self._read(inner, numbers) or list(self.inputs[:1])
        self.beside = self._read(self.ends, numbers)
        terms = {call.out for call in inner if call not in self.summing}
        self.stored = [x for x in self.outputs if x in terms]
        self.results = [x for x in self.outputs if x not in terms]
        self.scales = [self._scale(call) for call in self.summing]
        self.space = self._space()
        self.chain = self._chain(inner, numbers, storage)
        if self.moments:
            self.name = "mean and variance"
            self.operands, self.beside = self.operands * 2, [*self.operands, *self.beside]

    def _read(self, calls: Sequence[Call], numbers: Mapping[Value, Any]) -> list[Value]:
        read = dict.fromkeys(x for call in calls for x in call.inputs if x not in numbers)
        return [x for x in self.inputs if x in read]

    @property
    def sums(self) -> bool:
        return bool(self.summing)

    def _space(self) -> Space:
        shapes = [x.spec.shape for x in self.operands]
        space = spanned(self.shape, shapes, self.kept)
        if not self.sums:
            return space._replace(kept=())
        found = space.for_reduction()
        assert found is not None  # group_of says so of each
        return found

    def _chain(
        self, inner: Sequence[Call], numbers: Mapping[Value, Any], storage: Mapping[Value, str]
    ) -> Chain:
        def stored(x: Value) -> str:
            return storage.get(x, x.spec.dtype)

        moves = zip(self.operands, self.space.moves, strict=True)
        inputs = [Operand(stored(x), along) for x, along in moves]
        beside = [Operand(stored(x), (x.spec.size > 1,)) for x in self.beside]
        if self.moments:
            (x,), several = inputs, self.space.sizes[2:] != ()
            inputs.append(Operand(x.dtype, (False, False, True) if several else (False, False)))
            beside.insert(0, Operand(x.dtype, (several,)))
            steps, before = Steps(2), Steps(2 + len(beside))
            pair = finished(before, 0, 1, 2)
            sums = dict(zip((call.out for call in self.summing), pair, strict=True))
            terms: tuple[Step, ...] = TERMS
            reductions: tuple[Reduction, ...] = REDUCTIONS
            known = sums | {x: i + 3 for i, x in enumerate(self.beside)}
        else:
            steps = Steps(len(self.operands))
            made = {x: i for i, x in enumerate(self.operands)}
            _emit(inner, steps, made, numbers)
            terms, before = steps.all, Steps(len(self.summing) + len(self.beside))
            reductions = tuple(
                Reduction(made[call.out], self._how(call), stored(call.out))
                for call in self.summing
            )
            known = {call.out: i for i, call in enumerate(self.summing)}
            known |= {x: i + len(known) for i, x in enumerate(self.beside)}
        _emit(self.ends, before, known, numbers)
        whole = () if self.moments else tuple((made[x], stored(x)) for x in self.stored)
        plain = not self.ends and not self.moments
        sums_first = [Operand("float32", (True,)) for _ in reductions]
        results = tuple((known[x], stored(x)) for x in self.results)
        after = None if plain else Chain((*sums_first, *beside), before.all, results)
        return Chain(tuple(inputs), terms, whole, reductions, after)

    @staticmethod
    def _how(call: Call) -> str:
        return call.op.name if call.op.name in ("max", "min") else "sum"

    @staticmethod
    def _scale(call: Call) -> float:
        """What a sum is multiplied by."""
        if call.op.name not in ("axis_mean", "axis_variance"):
            return 1.0
        return call.out.spec.size / call.inputs[0].spec.size

    def in_place(self, value: Value, out: Value) -> bool:
        """Each element is read before its place is written, by the same thread: where both run
        along all axes."""
        if value not in self.operands or value in self.beside or out not in self.stored:
            return False
        place = self.operands.index(value)
        mine = self.chain.inputs[place]
        to = dict(zip(self.stored, self.chain.outputs, strict=True))[out][1]
        return mine.dtype == to and all(
            moves or n == 1 for moves, n in zip(mine.moves, self.space.sizes, strict=True)
        )

    @property
    def alone(self) -> bool:
        """Whether it has one axis and sums nothing, so that it can share a launch."""
        return not self.sums and len(self.space.sizes) == 1

    def row(self, places: Places) -> Row:
        """Its share of a launch of many."""
        values = [*self.operands, *self.stored]
        return Row(self.chain, self.space.sizes[0], [places.address(x) for x in values])

    def bind(self, places: Places) -> Launch:
        inputs = [places.address(x) for x in self.operands]
        outputs = [places.address(x) for x in self.stored]
        results = [places.address(x) for x in self.results]
        beside = [places.address(x) for x in self.beside]
        chain, sizes, scales = self.chain, self.space.sizes, self.scales

        def run(device: Device) -> None:
            if not results:
                elementwise(device, chain, sizes, inputs, outputs)
            else:
                space = places.workspace(device)
                reduce(device, chain, sizes, inputs, outputs, results, scales, space, beside)

        return run


def _emit(
    calls: Sequence[Call], steps: Steps, made: dict[Value, int], numbers: Mapping[Value, Any]
) -> None:
    """Add the steps of these calls; ``made``: values → their numbers. Of a call that sums up it is
    that of its terms."""
    for call in calls:
        for x in call.inputs:
            if x not in made:
                made[x] = steps("constant", (), x.spec.dtype, value=numbers[x])
        given = [made[x] for x in call.inputs]
        dtype, name = call.out.spec.dtype, call.op.name
        if name == "axis_variance":
            made[call.out] = steps("square", [steps("subtract", given)])
        elif name == "standardize_weight":
            scaled = steps("multiply", [steps("subtract", given[1:3]), given[3]])
            made[call.out] = steps("multiply", [scaled, given[0]])
        elif name in SUMS:
            made[call.out] = given[0]
        elif name == "standardize_input":
            share = call.inputs[2].spec.size / call.inputs[1].spec.size
            made[call.out] = steps(name, given, dtype, share=share)
        elif name == "isnan":
            made[call.out] = steps("not_equal", given * 2, dtype)
        else:
            params = {k: v for k, v in call.params.items() if name == "clip"}
            made[call.out] = steps(name, given, dtype, **params)


class Together(Task):
    """Chains over many tensors, as an optimizer's update, in one launch."""

    def __init__(self, chains: Sequence[Chained]) -> None:
        calls = [call for each in chains for call in each.calls]
        super().__init__("chains", calls, [x for each in chains for x in each.outputs])
        self.chains = chains

    def in_place(self, value: Value, out: Value) -> bool:
        readers = [each for each in self.chains if value in each.operands]
        return len(readers) == 1 and out in readers[0].outputs and readers[0].in_place(value, out)

    def bind(self, places: Places) -> Launch:
        return many(places.device, [each.row(places) for each in self.chains]).launch
