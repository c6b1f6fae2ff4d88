"""Running a program on NumPy, in phases: on pieces of the batch, which threads share, and whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph.backend import Backend
from tensorgraph.program import Limits, Outline, Program, Stage, Task, Timings, Value
from tensorgraph_numpy.memory import give_back
from tensorgraph_numpy.plan import measure, pieces, schedule
from tensorgraph_numpy.plan.phases import Phase
from tensorgraph_numpy.plan.rewrite import rewritten
from tensorgraph_numpy.plan.split import Batch
from tensorgraph_numpy.plan.work import Pieces, Whole
from tensorgraph_numpy.threads import POOL


def compile_program(program: Program, backend: Backend) -> Runner:
    """Plan a program for NumPy alone."""
    give_back()
    return Runner(rewritten(program, backend), backend)


class Runner:
    """A program in phases. ``print`` it to read them."""

    def __init__(self, program: Program, backend: Backend) -> None:
        self.program = program
        batch = schedule.batch_of(program, backend)
        phases = schedule.scheduled(program, batch)
        self._values = program.values()  # by their slots
        slots = {value: i for i, value in enumerate(self._values)}
        split = [c.out for phase in phases if phase.pieces for c in phase.calls]
        self.chunks = pieces.chunks(batch, split, POOL.threads) if split else []
        self.phases: list[Whole | Pieces] = []
        by_pieces: set[Value] = set()  # what later phases read
        by_whole = set(program.results())
        for i, (in_pieces, calls) in reversed([*enumerate(phases)]):
            read = {x for call in calls for x in call.inputs}
            if in_pieces:
                kept = {x for x in by_pieces if x in batch.axes}
                gathered = {c.out for c in calls if c.out in by_whole and c.out in batch.axes}
                rows = (batch, self.chunks, _in_rows(phases[:i], batch))
                self.phases.append(Pieces(calls, *rows, slots, kept, gathered, backend))
                by_pieces |= read
            else:
                self.phases.append(Whole(calls, slots, by_whole | by_pieces, backend))
                by_whole |= read
        self.phases.reverse()
        self._template: list[Any] = [None] * len(slots)
        for value, x in program.constants.items():
            self._template[slots[value]] = x.data
        self._arguments = [slots[x] for x in program.arguments]
        self._hosts = [slots[x] for _, values in program.hosts for x in values]
        self._state = [(slots[value], x) for value, x in program.state.items()]
        self._added = [(slots[value], x) for x, value in program.added.items()]
        self._assigned = [(x, slots[value]) for x, value in program.assigned.items()]
        self._results = [slots[x] for x in (*program.outputs, *program.gradients.values())]
        self._rows = sum(map(len, self.chunks))

    def outline(self) -> Outline:
        made = [
            Stage(
                str(phase),
                tuple(
                    Task(c.op.name, (c,), tuple(dict.fromkeys(c.inputs)), (c.out,))
                    for c in phase.calls
                ),
            )
            for phase in self.phases
        ]
        split = [phase for phase in self.phases if isinstance(phase, Pieces)]
        sums = {self._values[slot] for phase in split for slot in phase.sums}
        whole = {self._values[slot] for phase in split for slot, _ in phase.gathered}
        pieces = {call.out for phase in split for call in phase.calls} - sums - whole
        threads = max((phase.threads for phase in self.phases), default=1)
        return Outline(self.program, made, threads, pieces=pieces, sums=sums)

    def timings(self, replay: Callable[[], object], times: int) -> Timings:
        outline = self.outline()
        number = {self._values.index(task.outputs[0]): i for i, task in enumerate(outline.tasks)}
        kept = [(x, x.data) for x, _ in self._assigned]
        parts = [part for phase in self.phases for part in phase.parts()]
        try:
            found = measure.timings(parts, number, replay, times)
        finally:
            for x, data in kept:
                x.data = data
        return Timings(*found)

    def limits(self, dtype: str, size: int) -> Limits:
        return measure.limits(self.outline().threads, dtype, size)

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        """Run on these arrays; writes what is assigned, returns outputs and gradients."""
        values = self._template.copy()
        for slot, x in zip(self._arguments, arguments):
            values[slot] = x
        for slot, x in zip(self._hosts, hosts):
            values[slot] = x
        for slot, tensor in self._state:
            values[slot] = tensor.data
        for slot, leaf in self._added:
            assert leaf.grad is not None  # a guard of the plan
            values[slot] = leaf.grad.data
        rows: list[list[Any]] = [[None] * len(values) for _ in range(self._rows)]
        for phase in self.phases:
            phase.run(values, rows)
        for tensor, slot in self._assigned:
            tensor.data = values[slot]
        return [values[slot] for slot in self._results]


def _in_rows(phases: Sequence[Phase], batch: Batch) -> set[Value]:
    """What chunks have a piece of after these phases."""
    calls = [call for phase in phases if phase.pieces for call in phase.calls]
    return {x for call in calls for x in (*call.inputs, call.out) if x in batch.axes}
