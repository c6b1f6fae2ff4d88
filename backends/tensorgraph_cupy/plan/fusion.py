"""What rules look up that make one task of two, and the tasks as they become."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from tensorgraph import ops
from tensorgraph.program import Call, Value
from tensorgraph_cupy.plan.chains import Chained
from tensorgraph_cupy.plan.layout import Layout
from tensorgraph_cupy.plan.products import PLAIN, Besides, convolution, product
from tensorgraph_cupy.plan.setting import Setting
from tensorgraph_cupy.plan.tasks import Lowered, Task

LIBRARY = {"matmul": product, "conv": convolution}


class Fusion:
    """numbers  scalar constants
    besides  tasks of the libraries that do more than their product → what
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        layout: Layout,
        results: Sequence[Value],
        setting: Setting,
        numbers: Mapping[Value, Any],
    ) -> None:
        self.tasks = list(tasks)
        self.layout = layout
        self.setting = setting
        self.numbers = numbers
        self.besides: dict[Task, Besides] = {}
        self.readers = collections.Counter(layout.root(x) for task in tasks for x in task.inputs)
        self.readers.update(layout.root(x) for x in results)

    def replace(self, first: Task, second: Task, made: Task, *, at: Task) -> None:
        """Put one task in the place of two, where one of these is."""
        self.tasks[self.tasks.index(at)] = made
        self.tasks.remove(second if at is first else first)

    def maker(self, value: Value) -> Task | None:
        root = self.layout.root(value)
        return next((task for task in self.tasks if root in task.outputs), None)

    def meet(self, first: Task, second: Task) -> Task | None:
        """The later of two tasks, if nobody before it reads what the earlier one makes."""
        earlier, later = sorted((first, second), key=self.tasks.index)
        between = self.tasks[self.tasks.index(earlier) + 1 : self.tasks.index(later) + 1]
        read = {self.layout.root(x) for task in between for x in task.inputs}
        return None if read & set(earlier.outputs) else later

    def multiplied(
        self, task: Task, calls: Sequence[Call], outputs: Sequence[Value], besides: Besides
    ) -> Task | None:
        """The product or convolution that a task begins with, with this done besides, which the
        calls say; None where the library does not have that. Its result is the first output."""
        call = task.calls[0]
        make = LIBRARY[call.op.name](call, self.setting, besides, outputs[0])
        if make is None:
            return None
        made = Lowered(task.name, [call, *calls], make, outputs)
        self.besides[made] = besides
        return made

    def chained(self, calls: Sequence[Call], outputs: Sequence[Value]) -> Chained:
        """A part of a chain, of which these are wanted."""
        made = {call.out for call in calls}
        return Chained(calls, made.intersection(outputs), self.numbers, self.setting.storage)

    def is_multiplied(self, task: Task | None, ops: Sequence[str], name: str) -> bool:
        """Whether it is such a task, with this done besides and nothing more."""
        known = task is not None and len(task.calls) > 0 and task.calls[0].op.name in ops
        return known and self._name(task) == name

    def _name(self, task: Task | None) -> str:
        if task in self.besides:
            return self.besides[task].name
        return PLAIN.name if isinstance(task, Lowered) and len(task.calls) == 1 else ""

    def stored(self, value: Value, dtype: str) -> tuple[Value, list[Task]]:
        """A value in this dtype of storage: itself, or a copy and the task that makes it."""
        if self.setting.stored(value) == dtype:
            return value, []
        made = Value(value.spec)
        self.setting.storage[made] = dtype
        call = Call(ops.cast, (value,), {"dtype": value.spec.dtype}, made)
        return made, [self.chained([call], [made])]
