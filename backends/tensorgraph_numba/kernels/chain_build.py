"""Putting a chain together: its values in slots, its instructions in an order that is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_numba.kernels.chain_blocks import ADD, MAXIMUM, STORE
from tensorgraph_numba.kernels.chain_lanes import number_of_lanes
from tensorgraph_numba.kernels.chain_layout import (
    Place,
    Space,
    check_apart,
    elements_apart,
    merged,
    overlap,
    same_place,
)
from tensorgraph_numba.kernels.chain_plan import Plan, Slot, Store
from tensorgraph_numba.kernels.chain_program import VARIES, Graph, Node, Step, joined, scheduled


class Sum(NamedTuple):
    """The sum, or the maximum (``kind`` "max"), of a value over the axes in which ``target`` has
    the extent 1 or none: written to ``target``, or with ``accumulate`` taken together with what it
    holds."""

    value: int
    target: Any
    kind: str = "sum"
    accumulate: bool = False


class Chain:
    """A chain of ``dtype`` over ``space``."""

    def __init__(
        self,
        inputs: Sequence[Any],
        steps: Sequence[Step],
        outputs: Sequence[tuple[int, Any]],
        sums: Sequence[Sum],
    ) -> None:
        read = [x for x in inputs if isinstance(x, np.ndarray)]
        written = [x for _, x in outputs]
        targets = [s.target for s in sums]
        if not read and not written:
            raise ValueError("a chain needs an array, not numbers alone")
        self.arrays = [*read, *written, *targets]
        self.dtype = _dtype(self.arrays)
        self.size = np.dtype(self.dtype).itemsize
        self.space = Space(
            [*read, *written], written[0] if written else max(read, key=lambda x: x.size)
        )
        self.graph = Graph()
        self.slots: dict[int, Slot] = {}  # where values lie
        self.stores: list[tuple[int, Store]] = []  # values carried elsewhere after each block
        self.writes: list[tuple[int, Slot]] = []  # values that lie in an output at last
        self.first: set[int] = set()  # values to compute before all others
        self.sums: set[int] = set()  # values that stand for sums
        self.fixed: list[int] = []  # values that are bytes of an output
        values = [self.input(x) for x in inputs]
        totals = [self.accumulator(s) for s in sums]
        for op, operands in steps:
            values.append(self.graph.step(op, *(values[x] for x in operands)))
        self.check_overlap(written, targets)
        for s, total in zip(sums, totals):
            self.sum(values[s.value], s, total)
        for value, array in outputs:
            self.output(values[value], array)
        self.schedule()

    def input(self, x: Any) -> int:
        """The value of an input."""
        if not isinstance(x, np.ndarray):
            return self.graph.number(x)
        place = self.space.place(x)
        period = {"constant": 0, "periodic": place.length}.get(place.kind, VARIES)
        value = self.graph.input(period)
        self.slots[value] = Slot(place.kind, x.itemsize, array=x, place=place)
        if x.dtype == bool:
            return self.graph.append(Node("load", (value,), period, True))
        return value

    def accumulator(self, wanted: Sum) -> int:
        """The value to which the elements of a sum are added, VARIES where there is none: they are
        then added to the target itself, after each block."""
        target = wanted.target
        if wanted.kind not in ("sum", "max") or str(target.dtype) != self.dtype:
            raise ValueError(
                f"a chain of {self.dtype} has sums and maxima of it, not {wanted.kind!r} in "
                f'{target.dtype}: give "sum" or "max" and a target of {self.dtype}'
            )
        place = self.space.place(target)
        check_apart(target)
        if not self.space.total or place.kind not in ("constant", "periodic"):
            return VARIES
        value = self.graph.input(VARIES)
        mode = MAXIMUM if wanted.kind == "max" else ADD
        self.slots[value] = Slot(
            "sum", self.size, array=target, place=place, mode=mode, accumulate=wanted.accumulate
        )
        return value

    def check_overlap(self, written: Sequence[Any], targets: Sequence[Any]) -> None:
        """Refuse what is written before it is read; note which inputs each output writes over."""
        inputs = [(value, slot) for value, slot in self.slots.items() if slot.kind != "sum"]
        self.over: dict[int, set[int]] = {}
        for k, array in enumerate(written):
            others = [*written[:k], *targets]
            found = {value for value, slot in inputs if overlap(array, slot.array)}
            late = {v for v in found if self.slots[v].kind in ("direct", "spread")}
            clash = any(not same_place(array, self.slots[v].array) for v in late)
            if clash or any(overlap(array, other) for other in others):
                raise ValueError(
                    f"a chain cannot write to an array of the shape {array.shape} that shares "
                    "memory with another of its arrays, unless it is one of the inputs itself: "
                    "give it memory of its own"
                )
            self.over[id(array)] = late
        for k, target in enumerate(targets):
            if any(overlap(target, other) for other in targets[:k]) or any(
                overlap(target, slot.array) for _, slot in inputs if slot.kind != "constant"
            ):
                raise ValueError(
                    f"a chain cannot sum to an array of the shape {target.shape} that shares "
                    "memory with another of its arrays: give it memory of its own"
                )

    def carried(self, value: int) -> int:
        """The value as one that lies still for all of a block: copied if an output is written over
        it, or if it is not a row of its own."""
        node = self.graph.nodes[value]
        covered = any(value in inputs for inputs in self.over.values())
        if node.period == VARIES and not covered:
            return value
        copy = self.graph.append(Node("copy", (value,), VARIES, node.boolean))
        if covered:
            self.first.add(copy)
        return copy

    def sum(self, value: int, wanted: Sum, total: int) -> None:
        """Have a value added up."""
        most = wanted.kind == "max"
        if total != VARIES:
            number = self.graph.emit("maximum" if most else "sum", value, total)
            self.slots[number] = self.slots[total]
            self.sums.add(number)
            return
        target = wanted.target
        own = None if wanted.accumulate else merged(target.shape, elements_apart(target))
        store = Store(target, self.space.place(target), MAXIMUM if most else ADD, own)
        self.stores.append((self.carried(value), store))

    def output(self, value: int, array: Any) -> None:
        """Have a value written."""
        place = self.space.written(array)
        direct = place.kind == "direct"
        slot = Slot("direct" if direct else "block", array.itemsize, array=array, place=place)
        slot.written = direct
        if array.dtype == bool:
            if not self.graph.nodes[value].boolean:
                raise ValueError("a chain writes only bool to an array of bool: compare first")
            value = self.graph.append(Node("store", (value,), VARIES))
            self.slots[value] = slot
            self.fixed.append(value)
        elif direct:
            self.writes.append((self.carried(value), slot))
        if not direct:
            carried = value if array.dtype == bool else self.carried(value)
            self.stores.append((carried, Store(array, place, STORE, None)))

    def schedule(self) -> None:
        """Choose the order, and where each value lies."""
        values = [value for value, _ in (*self.stores, *self.writes)]
        wanted = [*self.sums, *self.fixed, *values]
        self.graph = joined(self.graph, wanted)
        order = scheduled(self.graph, wanted, self.sums, self.first)
        nodes = self.graph.nodes
        self.ahead = [n for n in order if nodes[n].period != VARIES]
        self.body = [n for n in order if nodes[n].period == VARIES]
        for number, node in enumerate(nodes):
            if node.op == "number":
                lanes = np.full(number_of_lanes(self.dtype), node.constant, self.dtype)
                self.slots[number] = Slot("number", self.size, array=lanes)
        for number in self.ahead:
            period = nodes[number].period
            place = Place("periodic" if period else "constant", period, ((1, 0),))
            self.slots[number] = Slot(place.kind, self.size, place=place)
        for value, slot in self.writes:
            if value in self.body and value not in self.slots and self.is_safe(value, slot):
                self.slots[value] = slot
            else:
                self.body.append(self.graph.append(Node("copy", (value,), VARIES)))
                self.slots[self.body[-1]] = slot
        self.assign_rows({value for value, _ in self.stores})

    def is_safe(self, value: int, slot: Slot) -> bool:
        """Whether nothing reads, behind the value, an input that its output is written over."""
        later = self.body[self.body.index(value) + 1 :]
        over = self.over[id(slot.array)]
        return not any(over.intersection(self.graph.nodes[n].operands) for n in later)

    def assign_rows(self, kept: set[int]) -> None:
        """Rows for what has no place yet; one serves again when its value is not needed further."""
        last = {x: n for n in self.body for x in self.graph.nodes[n].operands}
        free: list[Slot] = []
        rows: set[int] = set()
        for n in self.body:
            done = {x for x in self.graph.nodes[n].operands if last[x] == n} & rows - kept
            free += [self.slots[x] for x in sorted(done)]
            if n not in self.slots:
                self.slots[n] = free.pop() if free else Slot("block", self.size)
                rows.add(n)

    def words(self, scratch: Callable[[int], Any]) -> tuple[Any, tuple[Any, ...]]:
        """The words of the kernel, and the arrays that they point to."""
        ahead, body = (
            [
                (nodes[n].op, self.slots[n], tuple(self.slots[x] for x in nodes[n].operands))
                for n in numbers
            ]
            for nodes in [self.graph.nodes]
            for numbers in (self.ahead, self.body)
        )
        stores = [(self.slots[value], store) for value, store in self.stores]
        plan = Plan(self.space, self.dtype, ahead, body, stores)
        memory = plan.allocate(scratch)
        numbers = [s.array for s in plan.slots if s.kind == "number"]
        return plan.encode(), (*self.arrays, *numbers, memory)


def _dtype(arrays: Iterable[Any]) -> str:
    found = {str(x.dtype) for x in arrays} - {"bool"} or {"float32"}
    if len(found) > 1 or not found <= {"float32", "float64"}:
        raise ValueError(f"a chain takes one of float32 and float64, and bool, not {sorted(found)}")
    return found.pop()
