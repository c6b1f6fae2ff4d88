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
from tensorgraph_numba.plan.memory import Interval, Loan, aligned, laid, loan, packed
from tensorgraph_numba.plan.orders import empty, orders
from tensorgraph_numba.plan.prepare import phantom
from tensorgraph_numba.plan.tasks import Chain, Host, Kernel, Task

CACHE = 640 * 1024  # bytes of the second-level cache that one piece of the batch may take
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


class Phase(NamedTuple):
    pieces: bool
    tasks: list[Task]


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
        self.loans = self._loans()
        self.arrays: dict[Value, Any] = {}  # whole values
        self.shares: dict[Value, list[Any]] = {}  # sums: what each thread has added up
        self.local: dict[Value, tuple[int, int]] = {}  # phase and offset in a thread's memory
        self.chunks: dict[int, int] = {}  # phase → samples of a piece
        self._place()

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

    def _loans(self) -> dict[Value, Loan]:
        """Every tensor that the program reads or writes, lent to this plan."""
        return {
            value: loan(tensor, self.order.get(value))
            for value, tensor in self.program.state.items()
        }

    # memory

    def _place(self) -> None:
        program = self.program
        for x in (*program.arguments, *program.added.values()):
            self.arrays[x] = empty(x.spec.shape, self.order.get(x), x.spec.dtype)
        for _, values in program.hosts:
            for x in values:
                self.arrays[x] = np.empty(x.spec.shape, x.spec.dtype)
        for x, tensor in program.constants.items():
            array = empty(x.spec.shape, self.order.get(x), x.spec.dtype)
            array[...] = tensor.data
            self.arrays[x] = array
        for x, held in self.loans.items():
            self.arrays[x] = held.array
        first, last = self._lifetimes()
        self._written_in_place(first, last)
        whole = []
        for i, phase in enumerate(self.phases):
            inner = []
            for task in phase.tasks:
                for x in task.outputs:
                    if x in self.arrays:
                        continue
                    if phase.pieces and x in self.batch.sums:
                        self._share(x)
                        if self.threads == 1:
                            self.arrays[x] = self.shares[x][0]
                            continue
                    elif (
                        phase.pieces
                        and x in self.batch.axes
                        and last.get(x, i) == i
                        and x not in self.results
                    ):
                        inner.append(x)
                        continue
                    size = x.spec.size * np.dtype(x.spec.dtype).itemsize
                    whole.append(
                        Interval(
                            x,
                            size,
                            i,
                            last.get(x, i) if x not in self.results else len(self.phases),
                        )
                    )
            if phase.pieces:
                self._place_local(i, phase, set(inner))
        memory = aligned(packed(whole), np.uint8)
        for item in whole:
            x = item.value
            self.arrays[x] = laid(
                memory, item.offset, x.spec.shape, self.order.get(x), x.spec.dtype
            )

    def _share(self, x: Value) -> None:
        """Memory for each thread's part of a sum."""
        self.shares[x] = [
            empty(x.spec.shape, self.order.get(x), x.spec.dtype) for _ in range(self.threads)
        ]

    def _lifetimes(self) -> tuple[dict[Value, int], dict[Value, int]]:
        """The phases in which the memory of a value is first written and last read."""
        first: dict[Value, int] = {}
        last: dict[Value, int] = {}
        for i, phase in enumerate(self.phases):
            for task in phase.tasks:
                for x in task.outputs:
                    first[x] = i
                    if phase.pieces and x in self.batch.sums:
                        last[x] = i + 1  # it is added up after the phase
                for x in task.inputs:
                    last[self.root(x)] = i
        return first, last

    def _written_in_place(self, first: dict[Value, int], last: dict[Value, int]) -> None:
        """New values of tensors go straight into their memory, where nobody reads the old ones
        later. The others are copied there in the end."""
        olds = {tensor: value for value, tensor in self.program.state.items()}
        position: dict[Task, int] = {}
        maker: dict[Value, Task] = {}
        latest: dict[Value, int] = {}  # root → position of the last task that reads it
        for i, task in enumerate(t for phase in self.phases for t in phase.tasks):
            position[task] = i
            for x in task.outputs:
                maker[x] = task
            for x in task.inputs:
                latest[self.root(x)] = i
        for x in self.results:
            if self.root(x) in self.program.state:
                latest[self.root(x)] = len(position)  # read when all tasks have run
        taken: set[Value] = set()
        self.copies: list[tuple[Value, Loan]] = []
        for tensor, value in self.program.assigned.items():
            old = olds.get(tensor)
            held = self.loans[old] if old is not None else loan(tensor, self.order.get(value))
            source = maker.get(value)
            fits = (
                isinstance(source, Chain)
                and value not in taken
                and value not in self.batch.axes
                and value not in self.program.outputs
                and self.order.get(value) == held.order
                and (old is None or latest.get(old, -1) <= position[source])
                and (old not in source.inputs or source.in_place(old))
                and value not in {c.out for c in source.sums}
            )
            if fits:
                taken.add(value)
                self.arrays[value] = held.array
            else:
                self.copies.append((value, held))
            if old is None:
                self.loans[value] = held

    def _place_local(self, number: int, phase: Phase, inner: set[Value]) -> None:
        """Memory for what only one piece of the batch needs, and how large a piece is."""
        last: dict[Value, int] = {}
        for i, task in enumerate(phase.tasks):
            for x in (*task.outputs, *task.inputs):
                last[self.root(x)] = i
        takes: dict[Value, Value] = {}  # an output that takes the memory of an input

        def intervals(samples: int) -> list[Interval]:
            found: dict[Value, Interval] = {}
            for i, task in enumerate(phase.tasks):
                for x in task.outputs:
                    if x not in inner:
                        continue
                    over = next(
                        (
                            y
                            for y in task.inputs
                            if y in found
                            and last[y] == i
                            and task.in_place(y)
                            and y.spec == x.spec
                            and self.order.get(y) == self.order.get(x)
                            and y not in takes.values()
                        ),
                        None,
                    )
                    if over is not None and takes.get(x, over) is over:
                        takes[x] = over
                        found[x] = found[over]
                        found[x].last = max(found[x].last, last[x])
                        continue
                    size = x.spec.size // self.batch.size * samples
                    found[x] = Interval(x, size * np.dtype(x.spec.dtype).itemsize, i, last[x])
            return [*{id(item): item for item in found.values()}.values()]

        def touched(task: Task) -> int:
            values = {self.root(x) for x in (*task.inputs, *task.outputs)}
            sizes = [
                x.spec.size * np.dtype(x.spec.dtype).itemsize
                for x in values
                if x in self.batch.axes
            ]
            return sum(sizes) // self.batch.size

        bytes_of_sample = max([packed(intervals(1)), *map(touched, phase.tasks)])
        own = -(-self.batch.size // self.threads)
        pieces = -(-own // max(1, CACHE // max(1, bytes_of_sample)))
        takes.clear()
        self.chunks[number] = -(-own // pieces)
        items = intervals(self.chunks[number])
        packed(items)
        offsets = {item.value: item.offset for item in items}
        for x in inner:
            origin = x
            while origin in takes:
                origin = takes[origin]
            self.local[x] = (number, offsets[origin])

    def local_size(self) -> int:
        """Bytes that a thread needs for pieces."""
        ends = [0]
        for x, (number, offset) in self.local.items():
            size = x.spec.size // self.batch.size * self.chunks[number]
            ends.append(offset + size * np.dtype(x.spec.dtype).itemsize)
        return max(ends)

    def kernel_of(self, call: Call) -> tuple[Any, dict[str, Any]]:
        """The backend's own kernel for a call on whole values."""
        specs = tuple(x.spec for x in call.inputs)
        made = execute.settle(call.op, self.backend, specs, dict(call.params), config.current())
        return made.kernel, made.params
