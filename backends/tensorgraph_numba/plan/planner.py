"""From a program to tasks in phases, with memory for every value."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from tensorgraph_numpy.plan.phases import phases
from tensorgraph_numpy.plan.split import Batch

from tensorgraph import config, execute
from tensorgraph.backend import Backend
from tensorgraph.program import Call, Program, Value
from tensorgraph_numba.plan.chains import Groups, space
from tensorgraph_numba.plan.lower import LOWERINGS
from tensorgraph_numba.plan.orders import orders
from tensorgraph_numba.plan.placement import Phase, Placement
from tensorgraph_numba.plan.prepare import phantom
from tensorgraph_numba.plan.tasks import Chain, Host, Kernel, Task

VIEWS = ("reshape", "permute_dims", "broadcast_to")


def served(call: Call) -> bool:
    """Whether there may be a kernel for a call; binding it tells for sure."""
    return call.op.name in VIEWS or call.op.name in LOWERINGS or space(call) is not None


class View(NamedTuple):
    """A value that is another one seen differently."""

    base: Value
    call: Call

    def of(self, array: Any, axis: int | None, samples: int | None) -> Any:
        """The view of the base's array, or of a piece of it."""
        name, params = self.call.op.name, self.call.params
        if name == "permute_dims":
            return array.transpose(params["axes"])
        shape = list(self.call.out.spec.shape)
        if samples is not None and axis is not None:
            shape[axis] = samples
        if name == "broadcast_to":
            return np.broadcast_to(array, shape)
        return np.reshape(array, shape, copy=False)


class Planner:
    """Decides what is computed when and where. ``refused`` are values that no kernel here makes,
    ``alone`` those that are made on their own."""

    def __init__(
        self,
        program: Program,
        late: set[Value],
        backend: Backend,
        batch: Batch,
        threads: int,
        refused: set[Value],
        alone: set[Value],
    ) -> None:
        self.program = program
        self.late = late
        self.backend = backend
        self.batch = batch
        self.threads = threads
        self.order = orders(program)
        self.results = set(program.results())
        self.views = self._views()
        self.refused = refused
        self.alone = alone
        self.phases = self._phases()
        placed = Placement(program, self.phases, batch, threads, self.order, self.root)
        self.loans, self.arrays, self.shares = placed.loans, placed.arrays, placed.shares
        self.local, self.chunks, self.copies = placed.local, placed.chunks, placed.copies
        self.local_size = placed.local_size

    def root(self, value: Value) -> Value:
        while value in self.views:
            value = self.views[value].base
        return value

    def _views(self) -> dict[Value, View]:
        """The calls whose results need no memory. Strides tell; no array is made to find out."""
        seen: dict[Value, Any] = {}
        found: dict[Value, View] = {}

        def strides(x: Value) -> Any:
            if x not in seen:
                seen[x] = phantom(x.spec, self.order.get(x))
            return seen[x]

        for call in self.program.calls:
            if call.op.name in VIEWS and call.out not in self.results:
                (x,) = call.inputs
                view = View(x, call)
                try:
                    seen[call.out] = view.of(strides(x), None, None)
                except ValueError:
                    continue  # its elements have to be moved
                if call.out in self.order and not self._lies_right(call.out, seen[call.out]):
                    del seen[call.out]
                    continue
                found[call.out] = view
        return found

    def _lies_right(self, value: Value, view: Any) -> bool:
        """Whether a view has its axes in the order that is wanted of the value."""
        wanted = phantom(value.spec, self.order[value])
        pairs = zip(value.spec.shape, view.strides, wanted.strides, strict=True)
        return all(mine == other for n, mine, other in pairs if n > 1)

    def _phases(self) -> list[Phase]:
        made = []
        after: dict[Value, int] = {}
        split = phases(self.program.calls, self.batch, self.late)
        for i, phase in enumerate(split):
            for call in phase.calls:
                for x in call.inputs:
                    after[x] = i
        hosts_last: list[Task] = []
        for i, phase in enumerate(split):
            tasks: list[Task] = []
            readers: dict[Value, int] = {}
            for call in phase.calls:
                for x in call.inputs:
                    readers[x] = readers.get(x, 0) + 1
            alone = set(self.views) | self.refused | self.alone
            for group in Groups(phase.calls, alone, self.late).ordered():
                if group[0].out in self.views:
                    continue
                inside: dict[Value, int] = {}
                for call in group:
                    for x in call.inputs:
                        inside[x] = inside.get(x, 0) + 1
                outside = {
                    call.out
                    for call in group
                    if call.out in self.results
                    or after.get(call.out, -1) > i
                    or readers.get(call.out, 0) > inside.get(call.out, 0)
                }
                task = self._task(group, outside)
                last = isinstance(task, Host) and not any(x in after for x in task.outputs)
                (hosts_last if last else tasks).append(task)
            if tasks:
                made.append(Phase(phase.pieces, tasks))
        if hosts_last:
            made.append(Phase(False, hosts_last))
        return made

    def _task(self, group: list[Call], outside: set[Value]) -> Task:
        call = group[0]
        if call.out in self.refused:
            return Host(group)
        if space(call) is not None:
            return Chain(group, outside)
        lowering = LOWERINGS.get(call.op.name)
        if lowering is None:
            return Host(group)
        return Kernel(call, lowering.make, shared=lowering.shared)

    def kernel_of(self, call: Call) -> tuple[Any, dict[str, Any]]:
        """The backend's own kernel for a call on whole values."""
        specs = tuple(x.spec for x in call.inputs)
        made = execute.settle(call.op, self.backend, specs, dict(call.params), config.current())
        return made.kernel, made.params
