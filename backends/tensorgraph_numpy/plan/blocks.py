"""Elementwise calls on large whole values, a block of elements at a time, shared by threads.

An optimizer's update reads or writes arrays of a parameter's size two dozen times. Taken block by
block through all calls, what is no result stays in the cache, in memory that is used again.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tensorgraph.program import Call, Value
from tensorgraph_numpy.plan.direct import Direct
from tensorgraph_numpy.plan.steps import Ready, Step
from tensorgraph_numpy.threads import POOL

LARGE = 1 << 15  # elements, from which on calls are taken in blocks
BLOCK = 1 << 14  # elements of a block: ten arrays of them fit a core's cache
WORTH_SHARING = 1 << 17  # elements of all chains together


def suits(call: Call, how: Direct) -> bool:
    """Whether a call is elementwise, on large values of one shape and numbers."""
    shape = call.out.spec.shape
    alike = all(x.spec.shape == shape or x.spec.size == 1 for x in call.inputs)
    return how.into is not None and call.out.spec.size >= LARGE and alike


class Chain:
    """Elementwise calls on values of one shape, each of which reads another's result."""

    def __init__(
        self,
        calls: Sequence[Call],
        how: Mapping[Value, Direct],
        slots: Mapping[Value, int],
        kept: Collection[Value],
    ) -> None:
        made = {call.out for call in calls}
        read = dict.fromkeys(x for call in calls for x in call.inputs if x not in made)
        self.spec = calls[0].out.spec
        self.inputs = [slots[x] for x in read if x.spec.shape == self.spec.shape]
        self.numbers = [slots[x] for x in read if x.spec.shape != self.spec.shape]
        self.outputs: list[tuple[int, int]] = []  # slots of the values, and of the chain's own
        self.temporaries: list[int] = []
        self.dtypes: dict[int, np.dtype[Any]] = {}  # of the own slots, which follow on the values'
        self.first = max(slots.values()) + 1
        last = {x: call for call in calls for x in call.inputs}
        place = {x: slots[x] for x in read}
        free: list[int] = []
        steps = []
        for call in calls:
            inputs = [place[x] for x in call.inputs]
            for x in dict.fromkeys(call.inputs):
                if x in made and x not in kept and last[x] is call:
                    free.append(place[x])
            place[call.out] = target = self._own(np.dtype(call.out.spec.dtype), free, call, kept)
            if call.out in kept:
                self.outputs.append((slots[call.out], target))
            into = how[call.out].into
            assert into is not None  # suits() has asked
            steps.append(Step(into, (*inputs, target), slots[call.out], ()))
        self.ready = Ready(steps, ())

    def _own(
        self, dtype: np.dtype[Any], free: list[int], call: Call, kept: Collection[Value]
    ) -> int:
        """A slot of the chain's own for a result: a new one, or that of one that is not needed."""
        if call.out not in kept:
            for slot in free:
                if self.dtypes[slot] == dtype:
                    free.remove(slot)
                    return slot
        slot = self.first + len(self.dtypes)
        self.dtypes[slot] = dtype
        if call.out not in kept:
            self.temporaries.append(slot)
        return slot

    def start(self, values: list[Any]) -> dict[int, Any]:
        """Flat arrays by their slots: those that are read, and new ones for the results."""
        flat = {slot: np.ascontiguousarray(values[slot]).reshape(-1) for slot in self.inputs}
        for slot, own in self.outputs:
            values[slot] = np.empty(self.spec.shape, self.dtypes[own])
            flat[own] = values[slot].reshape(-1)
        return flat

    def run(self, values: list[Any], flat: Mapping[int, Any], elements: range) -> None:
        """Take these elements through the calls, block by block."""
        row: list[Any] = [None] * (self.first + len(self.dtypes))
        for slot in self.numbers:
            row[slot] = values[slot].reshape(())
        spare = {slot: np.empty(BLOCK, self.dtypes[slot]) for slot in self.temporaries}
        for first in range(elements.start, elements.stop, BLOCK):
            last = min(elements.stop, first + BLOCK)
            for slot, array in flat.items():
                row[slot] = array[first:last]
            for slot, array in spare.items():
                row[slot] = array[: last - first]
            self.ready.run(row)


class Blocks:
    """Chains that do not depend on each other, shared among the threads by their elements."""

    def __init__(
        self,
        calls: Sequence[Call],
        how: Mapping[Value, Direct],
        slots: Mapping[Value, int],
        kept: Collection[Value],
    ) -> None:
        self.chains = [Chain(chain, how, slots, kept) for chain in connected(calls)]
        total = sum(chain.spec.size for chain in self.chains)
        threads = POOL.threads if total >= WORTH_SHARING else 1
        self.shares: list[list[tuple[int, range]]] = [[] for _ in range(threads)]
        begin = 0
        for i, chain in enumerate(self.chains):
            size = chain.spec.size
            for t, share in enumerate(self.shares):
                low, high = total * t // threads - begin, total * (t + 1) // threads - begin
                if max(0, low) < min(size, high):
                    share.append((i, range(max(0, low), min(size, high))))
            begin += size

    def run(self, values: list[Any]) -> None:
        flat = [chain.start(values) for chain in self.chains]

        def work(share: Sequence[tuple[int, range]]) -> None:
            for i, elements in share:
                self.chains[i].run(values, flat[i], elements)

        POOL.run([functools.partial(work, share) for share in self.shares])


def connected(calls: Sequence[Call]) -> list[list[Call]]:
    """The calls in groups, in their order: together where one reads the other's result."""
    group: dict[Value, int] = {}
    for i, call in enumerate(calls):
        met = {group[x] for x in call.inputs if x in group}
        group[call.out] = i
        for x, number in group.items():
            if number in met:
                group[x] = i
    found: dict[int, list[Call]] = {}
    for call in calls:
        found.setdefault(group[call.out], []).append(call)
    return list(found.values())
