"""Running a program on NumPy, in phases: on pieces of the batch, which threads share, and whole."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tensorgraph.backend import Backend
from tensorgraph.program import Call, Limits, Outline, Program, Stage, Task, Timings, Value
from tensorgraph_numpy.plan import measure, pieces, schedule
from tensorgraph_numpy.plan.measure import Parts
from tensorgraph_numpy.plan.pieces import Chunk
from tensorgraph_numpy.plan.rewrite import rewritten
from tensorgraph_numpy.plan.split import Batch
from tensorgraph_numpy.plan.steps import Ready, steps
from tensorgraph_numpy.threads import POOL


def compile_program(program: Program, backend: Backend) -> Runner:
    """Plan a program for NumPy alone."""
    return Runner(rewritten(program, backend), backend)


class Whole:
    """Calls on whole values, one after the other."""

    def __init__(
        self,
        calls: Sequence[Call],
        slots: Mapping[Value, int],
        kept: Collection[Value],
        backend: Backend,
    ) -> None:
        self.calls = calls
        how = {call.out: pieces.of_whole(call, backend) for call in calls}
        found = steps(calls, how, lambda x: x.spec, slots, kept)
        self.ready = Ready(found, [slots[x] for x in kept])

    def __str__(self) -> str:
        return "whole values"

    def parts(self) -> list[Parts]:
        return [Parts(self.ready, 1)]

    def run(self, values: list[Any], rows: Sequence[list[Any]]) -> None:
        self.ready.run(values)


class Pieces:
    """Calls on pieces: each thread takes its chunks of the batch through all of them.

    A chunk has a row of values of its own, which later phases find again; its arrays are never put
    side by side unless somebody reads them whole.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        batch: Batch,
        chunks: Sequence[Sequence[Chunk]],
        slots: Mapping[Value, int],
        kept: Collection[Value],
        gathered: Collection[Value],
        made: Collection[Value],
        backend: Backend,
    ) -> None:
        """``kept`` and ``gathered`` are read later, in pieces and whole; ``made`` are the values
        that pieces have of their own, before this phase."""
        self.calls = calls
        outs = {call.out for call in calls}
        inputs = dict.fromkeys(x for call in calls for x in call.inputs if x not in outs)
        self.shared = [slots[x] for x in inputs if x not in batch.axes]
        self.cut = [(slots[x], batch.axes[x]) for x in inputs if x in batch.axes and x not in made]
        sums = [call.out for call in calls if call.out in batch.sums]
        self.gathered = [(slots[x], batch.axes[x]) for x in gathered if x in batch.axes]
        self.sums = [slots[x] for x in sums]
        self.threads: list[list[tuple[int, Chunk, Ready]]] = []
        number = 0
        for shard in chunks:
            self.threads.append([])
            for chunk in shard:
                how = {}
                for call in calls:
                    direct = pieces.of_piece(call, batch, chunk, backend)
                    assert direct is not None  # schedule.batch_of has tried
                    how[call.out] = direct
                spec = functools.partial(pieces.piece_spec, batch=batch, size=len(chunk))
                left = {*kept, *gathered, *sums}
                found = steps(calls, how, spec, slots, left)
                self.threads[-1].append((number, chunk, Ready(found, [slots[x] for x in left])))
                number += 1

    def __str__(self) -> str:
        size = max(len(chunk) for shard in self.threads for _, chunk, _ in shard)
        return f"pieces of {size} samples"

    def parts(self) -> list[Parts]:
        return [Parts(ready, len(self.threads)) for shard in self.threads for _, _, ready in shard]

    def run(self, values: list[Any], rows: Sequence[list[Any]]) -> None:
        totals: list[dict[int, Any]] = [{} for _ in self.threads]
        POOL.run(
            [
                functools.partial(self._work, shard, values, rows, total)
                for shard, total in zip(self.threads, totals)
            ]
        )
        first = totals[0]
        for total in totals[1:]:
            _add_up(first, total)
        for slot, x in first.items():
            values[slot] = x
        for slot, axis in self.gathered:
            parts = [row[slot] for row in rows]
            values[slot] = np.concatenate(parts, axis) if len(parts) > 1 else parts[0]

    def _work(
        self,
        shard: Sequence[tuple[int, Chunk, Ready]],
        values: list[Any],
        rows: Sequence[list[Any]],
        total: dict[int, Any],
    ) -> None:
        for number, chunk, ready in shard:
            row = rows[number]
            for slot in self.shared:
                row[slot] = values[slot]
            for slot, axis in self.cut:
                row[slot] = values[slot][(*[slice(None)] * axis, slice(chunk.start, chunk.stop))]
            ready.run(row)
            found = {}
            for slot in self.sums:
                found[slot], row[slot] = row[slot], None
            _add_up(total, found)


def _add_up(total: dict[int, Any], more: Mapping[int, Any]) -> None:
    """Add to sums, in their own memory."""
    for slot, x in more.items():
        before = total.get(slot)
        if isinstance(before, np.ndarray):
            before += x
        else:
            total[slot] = x if before is None else before + x


class Runner:
    """A program in phases. ``print`` it to read them."""

    def __init__(self, program: Program, backend: Backend) -> None:
        self.program = program
        batch = schedule.batch_of(program, backend)
        phases = schedule.scheduled(program, batch)
        self._values = program.values()  # by their slots
        slots = {value: i for i, value in enumerate(self._values)}
        results = program.results()
        split = [c.out for phase in phases if phase.pieces for c in phase.calls]
        self.chunks = pieces.chunks(batch, split, POOL.threads) if split else []
        self.phases: list[Whole | Pieces] = []
        made: set[Value] = set()
        for i, phase in enumerate(phases):
            later = phases[i + 1 :]
            by_pieces = {x for p in later if p.pieces for c in p.calls for x in c.inputs}
            by_whole = {x for p in later if not p.pieces for c in p.calls for x in c.inputs}
            by_whole.update(results)
            outs = {c.out for c in phase.calls}
            if phase.pieces:
                self.phases.append(
                    Pieces(
                        phase.calls,
                        batch,
                        self.chunks,
                        slots,
                        by_pieces & {*batch.axes},
                        by_whole & outs & {*batch.axes},
                        made,
                        backend,
                    )
                )
                made |= outs & {*batch.axes}
                made |= {x for c in phase.calls for x in c.inputs if x in batch.axes}
            else:
                self.phases.append(Whole(phase.calls, slots, by_whole | by_pieces, backend))
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
        threads = max((len(phase.threads) for phase in split), default=1)
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
