"""From a program to tasks in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensorgraph import config, execute
from tensorgraph.backend import Backend
from tensorgraph.program import Call, Program, Value
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.precision import arithmetic
from tensorgraph_cupy.plan.chains import Chained, Together
from tensorgraph_cupy.plan.expand import expanded
from tensorgraph_cupy.plan.flat import unflattened
from tensorgraph_cupy.plan.fuse import fused
from tensorgraph_cupy.plan.groups import grouped
from tensorgraph_cupy.plan.halves import Halves
from tensorgraph_cupy.plan.lower import lowered
from tensorgraph_cupy.plan.masks import masked
from tensorgraph_cupy.plan.rewrite import Rewriting, with_turned_products
from tensorgraph_cupy.plan.setting import Setting
from tensorgraph_cupy.plan.stems import widened
from tensorgraph_cupy.plan.tasks import Eager, Lowered, Task


class Planner:
    """Decides what runs, how, and in which order; ``program`` is as it runs."""

    def __init__(self, program: Program, backend: Backend, device: Device) -> None:
        self.backend = backend
        program = unflattened(with_turned_products(expanded(program, backend)))
        self.numbers = {
            x: np.asarray(backend.to_host(tensor.data)).item()
            for x, tensor in program.constants.items()
            if x.spec.shape == ()
        }
        program = masked(program, self.numbers)
        half = config.current().precision.value == "bfloat16"
        program = widened(program) if half else program
        halves = Halves(program) if half else None
        work = Rewriting(program, halves=halves)
        self.program, self.layout, self.storage = work.program, work.layout, work.storage
        self.chained = work.groups
        self.setting = Setting(device, arithmetic(), self.layout, self.storage)
        roots = {x: self.layout.root(x) for x in self.layout.views}
        groups = grouped(self.program.calls, lambda call: self.chained.get(call.out), roots)
        outside = self._outside(groups)
        tasks = [self._task(group, outside) for group in groups]
        tasks = fused(tasks, self.layout, self.program.results(), self.setting, self.numbers)
        self.tasks = self._together(tasks)
        views = [call for call in self.program.calls if call.out in self.layout.views]
        self.program.calls = [*(call for task in self.tasks for call in task.calls), *views]

    def _outside(self, groups: Sequence[Sequence[Call]]) -> set[Value]:
        """What others read than the group that makes it, or as a view."""
        number = {call.out: i for i, group in enumerate(groups) for call in group}
        read = {self.layout.root(x) for x in self.program.results()}
        for i, group in enumerate(groups):
            for x in (x for call in group for x in call.inputs):
                root = self.layout.root(x)
                if number.get(root) != i or root is not x:
                    read.add(root)
        return read

    def _task(self, group: Sequence[Call], outside: set[Value]) -> Task:
        call = group[0]
        if call.out in self.chained:
            return Chained(group, outside, self.numbers, self.storage)
        make = lowered(call, self.setting)
        if make is not None:
            return Lowered(call.op.name, group, make)
        specs = tuple(x.spec for x in call.inputs)
        params = dict(call.params)
        made = execute.settle(call.op, self.backend, specs, params, config.current())
        return Eager(call, made.kernel, made.params)

    def _together(self, tasks: list[Task]) -> list[Task]:
        """Chains of one axis that need nothing computed are one task, before all, and those that no
        task reads another one, in the end."""
        made = {x for task in tasks for x in task.outputs}
        read = {self.layout.root(x) for task in tasks for x in task.inputs}
        alone = [task for task in tasks if isinstance(task, Chained) and task.alone]
        last = [task for task in alone if not read & set(task.outputs)]
        first = [
            task
            for task in alone
            if task not in last and not made & {self.layout.root(x) for x in task.inputs}
        ]
        rest = [task for task in tasks if task not in first and task not in last]
        return [*_as_one(first), *rest, *_as_one(last)]


def _as_one(chains: list[Chained]) -> Sequence[Task]:
    return chains if len(chains) < 2 else [Together(chains)]


def segments(tasks: Sequence[Task]) -> list[list[Task]]:
    """Tasks that a CUDA graph holds together, and, each alone, those that none can hold."""
    found: list[list[Task]] = []
    for task in tasks:
        if found and task.captured and found[-1][-1].captured:
            found[-1].append(task)
        else:
            found.append([task])
    return found
