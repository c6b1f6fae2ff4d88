"""Large values that are computed again, where they are needed again, rather than kept.

Batch norm and relu of a convolution's output are read by the next layer, and once more when
gradients are computed, together with that output itself. To write them and read them again takes
longer than to compute them from what is in the cache by then, and they would be most of a
network's activations.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from tensorgraph_numpy.plan.phases import phases
from tensorgraph_numpy.plan.split import Batch

from tensorgraph.program import Call, Program, Value

LIGHT = frozenset({"add", "maximum", "minimum", "multiply", "relu", "standardize", "subtract"})
VIEWS = ("reshape", "permute_dims", "broadcast_to")  # others read what these see
LARGE = 1 << 18  # bytes; what is smaller stays in the cache of a core


class _Again:
    """Which calls run again in which phase."""

    def __init__(self, program: Program, late: set[Value], batch: Batch) -> None:
        self.program = program
        self.batch = batch
        self.results = set(program.results())
        self.makers = {call.out: call for call in program.calls}
        self.phase: dict[Value, int] = {}
        self.pieces: list[bool] = []
        self.readers: dict[Value, list[Call]] = {}
        for i, phase in enumerate(phases(program.calls, batch, late)):
            self.pieces.append(phase.pieces)
            for call in phase.calls:
                self.phase[call.out] = i
                for x in dict.fromkeys(call.inputs):
                    self.readers.setdefault(x, []).append(call)

    def calls(self, value: Value) -> list[Call]:
        """The light calls that make a value, the first of them first, if it pays to run them again
        in all later phases that read it; else none."""
        later = self._later(value)
        found: list[Call] = []
        source: Value | None = value
        while later and source is not None:
            call = self.makers.get(source)
            if call is None or call.op.name not in LIGHT or call.out not in self.batch.axes:
                return []
            large = [x for x in call.inputs if x in self.batch.axes]
            if len(large) != 1 or large[0].spec != value.spec:
                return []
            found.append(call)
            source = large[0]
            readers = [c for c in self.readers[source] if c not in found]
            if later <= {self.phase[c.out] for c in readers}:
                return found[::-1]
        return []

    def _later(self, value: Value) -> set[int]:
        """The later phases that read a value, if all of them take pieces of the batch."""
        size = value.spec.size * np.dtype(value.spec.dtype).itemsize
        if value in self.results or value not in self.batch.axes or size < LARGE:
            return set()
        readers = self.readers.get(value, [])
        here = self.phase[value]
        if not self.pieces[here] or any(c.op.name in VIEWS for c in readers):
            return set()
        later = {self.phase[c.out] for c in readers} - {here}
        return later if all(self.pieces[i] for i in later) else set()


def recomputed(program: Program, late: set[Value], batch: Batch) -> tuple[Program, set[Value]]:
    """The program with light calls once more in each phase that reads what they make, and the
    values that are to wait for those who use them."""
    work = _Again(program, late, batch)
    again = {call.out: chain for call in program.calls if (chain := work.calls(call.out))}
    made: dict[tuple[Value, int], Value] = {}  # value and phase → its double
    calls: list[Call] = []
    late = set(late)
    for call in program.calls:
        i = work.phase[call.out]
        for x in call.inputs:
            if x not in again or work.phase[x] == i or (x, i) in made:
                continue
            for one in again[x]:
                if (one.out, i) not in made:
                    made[one.out, i] = Value(one.out.spec)
                    late.add(made[one.out, i])
                    inputs = tuple(made.get((y, i), y) for y in one.inputs)
                    calls.append(dataclasses.replace(one, inputs=inputs, out=made[one.out, i]))
        inputs = tuple(made.get((x, i), x) if x in again else x for x in call.inputs)
        calls.append(dataclasses.replace(call, inputs=inputs))
    return dataclasses.replace(program, calls=calls), late
