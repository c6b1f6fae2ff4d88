"""A program on the GPU: its tasks launched one by one the first time, then as CUDA graphs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorgraph.backend import Backend
from tensorgraph.errors import BackendError
from tensorgraph.program import Limits, Outline, Program, Stage, Timings
from tensorgraph.program import Task as Told
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.numbers import MOST, Numbers, write
from tensorgraph_cupy.plan import aside, measure
from tensorgraph_cupy.plan.placement import Placement
from tensorgraph_cupy.plan.planner import Planner, segments
from tensorgraph_cupy.plan.state import put, taken
from tensorgraph_cupy.plan.tasks import Launch, Task


class Plan:
    """See ``tensorgraph.program.Runner``.

    It works on a stream of its own, since CUDA captures no other, and orders it with the backend's
    by events: what came before a run is done before it, and what comes after a run, after it.
    """

    def __init__(self, program: Program, backend: Any) -> None:
        self.program = program
        self.backend = backend
        self.arrays = backend.arrays
        self.main = backend.device
        self.device: Device = backend.planned
        self.device.wait(self.main.record())  # it may still read memory that plans gave back
        self.planner = Planner(program, backend, self.device)
        planned, tasks = self.planner.program, self.planner.tasks
        layout, storage = self.planner.layout, self.planner.storage
        self.aside = aside.set_aside(tasks, layout) if aside.enabled() else {}
        self.second = self.device.beside() if self.aside else self.device
        self.places = Placement(planned, tasks, layout, storage, backend, self.device, self.aside)
        self.segments = segments(tasks)
        joins = set(self.aside.values())
        self.joins = {task for i, task in enumerate(tasks) if i in joins}
        self.launches: dict[Task, Launch] = {}
        self.parts: list[Callable[[], None]] | None = None  # graphs, once all has run before
        self.ran = False
        places = self.places
        self._arguments = [(places.at[x], places.dtype(x)) for x in planned.arguments]
        self._hosts = [places.at[x] for _, values in planned.hosts for x in values]
        self._numbers: list[Any] = [None] * len(self._hosts)  # what was written there last
        self._added = [(leaf, places.at[x]) for leaf, x in planned.added.items()]
        self._read = [places.loans[x] for x in planned.state]
        lent = {held.tensor: held for held in places.loans.values()}
        self._assigned = [(tensor, lent[tensor]) for tensor in planned.assigned]
        results = [*planned.outputs, *planned.gradients.values()]
        self._results = [(x.spec, places.address(x)) for x in results]

    def number(self, x: Any, dtype: str) -> Any:
        values = np.asarray(x, dtype)
        few = values.size <= MOST and dtype != "bool"
        return Numbers(values) if few else self.backend.asarray(values, dtype)

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        device = self.device
        for held in self._read:
            if held.tensor.lender is not held:
                held.renew(self.main)
        device.wait(self.main.record())
        for array, (address, dtype) in zip(arguments, self._arguments, strict=True):
            put(self.arrays, device, array, address, dtype)
        written: list[tuple[int, Numbers]] = []
        for i, (array, address) in enumerate(zip(hosts, self._hosts, strict=True)):
            if array is not self._numbers[i]:
                if isinstance(array, Numbers):
                    written.append((address, array))
                else:
                    put(self.arrays, device, array, address)
                self._numbers[i] = array
        write(device, written)
        for leaf, address in self._added:
            assert leaf.grad is not None  # a guard of the plan
            put(self.arrays, device, leaf.grad.data, address)
        if self.ran and self.parts is None:
            self.parts = self._captured()
        if self.parts is None:
            self._launch()
        else:
            for part in self.parts:
                part()
        self.main.wait(device.record())
        for tensor, held in self._assigned:
            if tensor.lender is not held or tensor._array is not None:
                tensor.lend(held)  # what was copied out of it is old
        return [taken(self.arrays, self.main, spec, address) for spec, address in self._results]

    def _launch(self) -> None:
        """All tasks one by one: sources are compiled, and libraries choose their plans."""
        for segment in self.segments:
            for task in segment:
                self.launches[task] = task.bind(self.places)
                self._do(task)
            self._join(segment)
        self._keep_new_values()
        self.ran = True

    def _do(self, task: Task) -> None:
        """Ask for a task, on its stream and after what it needs."""
        if task in self.joins:
            self.device.wait(self.second.record())
        if task in self.aside:
            self.second.wait(self.device.record())
            self.launches[task](self.second)
            return
        if task.captured:
            self.launches[task](self.device)
            return
        self.main.wait(self.device.record())
        self.launches[task](self.main)
        self.device.wait(self.main.record())

    def launch(self, task: Task) -> None:
        """A task by itself, done before what the backend is asked for next."""
        self._do(task)
        self._join([task])
        self.main.wait(self.device.record())

    def _join(self, segment: Sequence[Task]) -> None:
        """All of a graph ends on the first stream."""
        if not self.aside.keys().isdisjoint(segment):
            self.device.wait(self.second.record())

    def _keep_new_values(self) -> None:
        places = self.places
        for x, held in places.copies:
            self.device.copy(held.memory.address, places.address(x), places.bytes_of(x))

    def _captured(self) -> list[Callable[[], None]]:
        parts: list[Callable[[], None]] = []
        for i, segment in enumerate(self.segments):
            (task, *_) = segment
            if not task.captured:
                parts.append(functools.partial(self._do, task))
                continue
            last = i == len(self.segments) - 1
            parts.append(self._graph(segment, last))
        if not self.segments or not self.segments[-1][0].captured:
            parts.append(self._keep_new_values)
        return parts

    def _graph(self, segment: Sequence[Task], last: bool) -> Callable[[], None]:
        at = [segment[0].name]

        def work() -> None:
            for task in segment:
                at[0] = task.name
                self._do(task)
            self._join(segment)
            if last:
                at[0] = "the new values of tensors"
                self._keep_new_values()

        try:
            graph: Callable[[], None] = self.device.capture(work)
            return graph
        except BackendError:
            raise
        except Exception as error:
            raise BackendError(
                f"compile: {at[0]} cannot be captured into a CUDA graph: {error}. Leave the step "
                "uncompiled (train.compile = false), or take that op out of it"
            ) from error

    def timings(self, replay: Callable[[], object], times: int) -> Timings:
        return measure.timings(self, replay, times)

    def limits(self, dtype: str, size: int) -> Limits:
        return measure.limits(self.backend, dtype, size)

    def outline(self) -> Outline:
        planner, places = self.planner, self.places
        stages = []
        for segment in self.segments:
            what = "one CUDA graph" if segment[0].captured else "between graphs"
            told = [Told(task.name, task.calls, task.inputs, task.outputs) for task in segment]
            stages.append(Stage(what, tuple(told)))
        views = {x: seen.root for x, seen in planner.layout.views.items()}
        return Outline(
            planner.program, stages, views=views, written=places.written, memory=places.sizes
        )


def compile_program(program: Program, backend: Backend) -> Plan:
    """Plan a program for the GPU. Calls that no launch function serves are left to the backend's
    kernels, between graphs."""
    return Plan(program, backend)
