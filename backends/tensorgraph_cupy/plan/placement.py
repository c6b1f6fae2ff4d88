"""Memory for every value of a plan: blocks for what comes from outside, tensors' own memory for
their new values, and one arena for what lives in between."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from tensorgraph.backend import Backend
from tensorgraph.program import Program, Value
from tensorgraph_cupy.device import Device, FullError, Memory
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.reduce import new_workspace
from tensorgraph_cupy.kernels.spelling import SIZES
from tensorgraph_cupy.kernels.view import View
from tensorgraph_cupy.lib.workspace import Workspace
from tensorgraph_cupy.plan.layout import Layout
from tensorgraph_cupy.plan.memory import Interval, aligned, packed
from tensorgraph_cupy.plan.state import Loan, loan, put
from tensorgraph_cupy.plan.tasks import Task


class Placement:
    """Where values lie; ``tensorgraph_cupy.plan.tasks.Places`` for tasks.

    loans    tensors that are read or written → their memory
    copies   new values of tensors that could not be computed in place, and where they belong
    written  new values that lie where the tensor's old ones did → those
    sizes    what memory is for → bytes
    """

    def __init__(
        self,
        program: Program,
        tasks: Sequence[Task],
        layout: Layout,
        storage: dict[Value, str],
        backend: Any,
        device: Device,
        aside: Mapping[Task, int],
    ) -> None:
        self.aside = aside  # tasks that may run as late as just before one of this number
        self.program = program
        self.tasks = tasks
        self.layout = layout
        self.storage = storage
        self.backend: Backend = backend
        self.arrays: Arrays = backend.arrays
        self.device = device
        self.loans: dict[Value, Loan] = {}
        self.copies: list[tuple[Value, Loan]] = []
        self.written: dict[Value, Value] = {}
        self.sizes: dict[str, int] = {}
        self.at: dict[Value, int] = {}
        self.last = self._last()
        self._roots: dict[Task, collections.Counter[Value]] = {}
        self._scratch: dict[int, Workspace] = {}
        self._workspaces: dict[int, Memory] = {}
        self._blocks: list[Memory] = []
        try:
            self._place_given()
            self._place_state()
            self._place_computed()
        except MemoryError as error:
            given = ", ".join(str(x.spec) for x in program.arguments)
            parts = ", ".join(f"{n / 2**20:,.0f} MiB {what}" for what, n in self.sizes.items())
            raise FullError(
                f"compile: the plan of the step of ({given}) does not fit in the memory of the "
                f"GPU; it takes {parts}: {error}"
            ) from error

    # what tasks ask

    def dtype(self, value: Value) -> str:
        return self.storage.get(value, value.spec.dtype)

    def address(self, value: Value) -> int:
        seen = self.layout[value]
        return self.at[seen.root] + seen.offset * SIZES[self.dtype(value)]

    def view(self, value: Value) -> View:
        strides = self.layout[value].strides
        return View(self.address(value), value.spec.shape, strides, self.dtype(value))

    def array(self, value: Value) -> Any:
        return self.arrays.over(*self.view(value))

    def workspace(self, device: Device) -> int:
        if device.stream not in self._workspaces:
            self._workspaces[device.stream] = new_workspace(device)
        return self._workspaces[device.stream].address

    def scratch(self, device: Device, size: int) -> int:
        space = self._scratch.setdefault(device.stream, Workspace(device))
        return space.address(size)

    def bytes_of(self, value: Value) -> int:
        return value.spec.size * SIZES[self.dtype(value)]

    # where things go

    def _last(self) -> dict[Value, int]:
        """Root → the number of the last task that reads it; results are read after all."""
        last: dict[Value, int] = {}
        for i, task in enumerate(self.tasks):
            for x in task.inputs:
                root = self.layout.root(x)
                last[root] = max(last.get(root, -1), self.aside.get(task, i))
        for x in self.program.results():
            last[self.layout.root(x)] = len(self.tasks)
        return last

    def _reads(self, task: Task, root: Value | None) -> int:
        """How many of the inputs of a task lie in this memory."""
        if task not in self._roots:
            self._roots[task] = collections.Counter(map(self.layout.root, task.inputs))
        return 0 if root is None else self._roots[task][root]

    def _block(self, name: str, values: Sequence[Value]) -> None:
        """Memory for values that are there all the time."""
        size = 0
        for x in values:
            self.at[x] = size
            size += aligned(self.bytes_of(x))
        self.sizes[name] = size
        memory = self.device.allocate(max(1, size))
        self._blocks.append(memory)
        for x in values:
            self.at[x] += memory.address

    def _place_given(self) -> None:
        program = self.program
        hosts = [x for _, values in program.hosts for x in values]
        self._block("arguments", [*program.arguments, *program.added.values(), *hosts])
        self._block("constants", list(program.constants))
        for x, tensor in program.constants.items():
            put(self.arrays, self.device, tensor.data, self.at[x])

    def _place_state(self) -> None:
        """New values of tensors go straight into their memory where nobody reads the old ones
        later, or elsewhere than where it writes."""
        program = self.program
        for x, tensor in program.state.items():
            self.loans[x] = loan(tensor, self.arrays, x.spec.shape)
            self.at[x] = self.loans[x].memory.address
        olds = {tensor: x for x, tensor in program.state.items()}
        maker = {x: i for i, task in enumerate(self.tasks) for x in task.outputs}
        for tensor, x in program.assigned.items():
            old = olds.get(tensor)
            held = self.loans[old] if old is not None else loan(tensor, self.arrays, x.spec.shape)
            number = maker[x]
            task = self.tasks[number]
            reads = self._reads(task, old)
            fits = (
                self.dtype(x) == x.spec.dtype
                and x not in program.outputs
                and x not in program.gradients.values()
                and (old is None or self.last.get(old, -1) <= number)
                and (not reads or (reads == 1 and old is not None and task.in_place(old, x)))
            )
            if fits:
                self.at[x] = held.memory.address
                if old is not None:
                    self.written[x] = old
            else:
                self.copies.append((x, held))
            if old is None:
                self.loans[x] = held
        self.sizes["lent by tensors"] = sum(h.memory.size for h in self.loans.values())

    def _place_computed(self) -> None:
        """Offsets in the arena. A chain may write where it reads for the last time."""
        found: dict[Value, Interval] = {}
        for i, task in enumerate(self.tasks):
            taken: set[Value] = set()
            for x in (x for x in task.outputs if x not in self.at):
                last, size = max(i, self.last.get(x, i)), self.bytes_of(x)
                for y in task.inputs:
                    over = found.get(y)
                    dies = over is not None and over.last == i and y not in taken
                    fits = dies and size == self.bytes_of(y) and self._reads(task, y) == 1
                    if fits and task.in_place(y, x):
                        assert over is not None
                        taken.add(y)
                        over.last, found[x] = last, over
                        break
                else:
                    found[x] = Interval(size, i, last)
        size = packed([*{id(each): each for each in found.values()}.values()])
        self.sizes["values in between"] = size
        memory = self.device.allocate(max(1, size))
        self._blocks.append(memory)
        for x, interval in found.items():
            self.at[x] = memory.address + interval.offset
