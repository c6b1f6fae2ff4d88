"""Where a thread binds its tasks: the arrays of values, or of a piece of them, and scratch."""

from __future__ import annotations

from typing import Any

from tensorgraph.program import Value
from tensorgraph_numba import native
from tensorgraph_numba.plan.memory import Scratch, laid
from tensorgraph_numba.plan.planner import Planner
from tensorgraph_numba.plan.tasks import Task


class Bench:
    """A thread's place of work; a ``tasks.Place``."""

    def __init__(self, planner: Planner, thread: int, memory: Any, refused: list[Task]) -> None:
        self.refused = refused
        self.planner = planner
        self.thread = thread
        self.threads = planner.threads
        self.memory = memory
        self.scratch = Scratch()
        self.samples: range | None = None
        self.accumulate = False
        self.writing: Task | None = None
        self.owners: dict[int, Task] = {}  # id of a call → what it is for

    def __getitem__(self, value: Value) -> Any:
        planner = self.planner
        n = None if self.samples is None else len(self.samples)
        if value in planner.views:
            view = planner.views[value]
            axis = self.axis(value) if n is not None else None
            return view.of(self[view.base], axis, n)
        if value in planner.local:
            assert n is not None
            shape = list(value.spec.shape)
            shape[planner.batch.axes[value]] = n
            _, offset = planner.local[value]
            return laid(self.memory, offset, shape, planner.order.get(value), value.spec.dtype)
        if self.writing is not None and value in planner.shares and value in self.writing.outputs:
            return planner.shares[value][self.thread]
        return self._cut(planner.arrays[value], self.axis(value))

    def axis(self, value: Value) -> int | None:
        return self.planner.batch.axes.get(value)

    def _cut(self, array: Any, axis: int | None) -> Any:
        if self.samples is None or axis is None:
            return array
        return array[(slice(None),) * axis + (slice(self.samples.start, self.samples.stop),)]

    def along(self, value: Value, like: Value) -> Any:
        array = self[value]
        axis = self.axis(like)
        if self.samples is None or axis is None or self.axis(value) is not None:
            return array
        axis -= like.spec.ndim - array.ndim
        whole = axis >= 0 and array.shape[axis] == self.planner.batch.size > 1
        return self._cut(array, axis) if whole else array

    def bind(self, task: Task) -> list[native.Call]:
        """The calls of a task here; a task that cannot be bound is noted."""
        self.writing = task
        try:
            calls = task.bind(self)
        except (ValueError, NotImplementedError):
            if task not in self.refused:
                self.refused.append(task)
            return []
        self.owners.update((id(call), task) for call in calls)
        return calls
