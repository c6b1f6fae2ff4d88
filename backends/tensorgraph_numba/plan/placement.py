"""Memory for every value of a plan: what is whole, what threads share out, what pieces need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tensorgraph_numpy.plan.split import Batch

from tensorgraph.program import Program, Value
from tensorgraph_numba.kernels.winograd_layer import Winograd
from tensorgraph_numba.plan.memory import Interval, Loan, aligned, laid, loan, packed
from tensorgraph_numba.plan.orders import Order, empty
from tensorgraph_numba.plan.tasks import Chain, Task

CACHE = 640 * 1024  # bytes of the second-level cache that one piece of the batch may take


class Phase(NamedTuple):
    """Tasks that run one after the other, on pieces of the batch or on whole values."""

    pieces: bool
    tasks: list[Task]


def size_of(value: Value) -> int:
    """Bytes."""
    return value.spec.size * np.dtype(value.spec.dtype).itemsize


class Placement:
    """Where values lie.

    loans   tensors that the program reads or writes, lent to this plan
    arrays  whole values
    shares  sums over the batch → what each thread has added up
    local   values that only one piece needs → phase, and offset in the thread's memory
    chunks  phases on pieces → the samples of a piece
    copies  new values of tensors that are not computed in place, and where they belong
    """

    def __init__(
        self,
        program: Program,
        phases: Sequence[Phase],
        batch: Batch,
        threads: int,
        order: Mapping[Value, Order],
        root: Callable[[Value], Value],
    ) -> None:
        self.program = program
        self.phases = phases
        self.batch = batch
        self.threads = threads
        self.order = order
        self.root = root
        self.results = set(program.results())
        self.loans = {x: loan(tensor, order.get(x)) for x, tensor in program.state.items()}
        self.arrays = {x: held.array for x, held in self.loans.items()}
        self.shares: dict[Value, list[Any]] = {}
        self.local: dict[Value, tuple[int, int]] = {}
        self.chunks: dict[int, int] = {}
        self.copies: list[tuple[Value, Loan]] = []
        self._place_given()
        self._place_assigned()
        self._place_computed()

    def _empty(self, x: Value) -> Any:
        return empty(x.spec.shape, self.order.get(x), x.spec.dtype)

    def _place_given(self) -> None:
        """What comes from outside is copied to arrays of the plan's."""
        program = self.program
        hosts = [x for _, values in program.hosts for x in values]
        for x in (*program.arguments, *program.added.values(), *hosts, *program.constants):
            self.arrays[x] = self._empty(x)
        for x, tensor in program.constants.items():
            self.arrays[x][...] = tensor.data

    def _place_computed(self) -> None:
        last = self._last_phases()
        whole = []
        for i, phase in enumerate(self.phases):
            inner = set()
            for x in [x for task in phase.tasks for x in task.outputs if x not in self.arrays]:
                if phase.pieces and x in self.batch.sums:
                    self.shares[x] = [self._empty(x) for _ in range(self.threads)]
                    if self.threads == 1:
                        self.arrays[x] = self.shares[x][0]
                        continue
                elif phase.pieces and x in self.batch.axes and last.get(x, i) == i:
                    inner.add(x)
                    continue
                whole.append(Interval(x, size_of(x), i, last.get(x, i)))
            if phase.pieces:
                self._place_local(i, phase, inner)
        memory = aligned(packed(whole), np.uint8)
        for item in whole:
            x, order = item.value, self.order.get(item.value)
            self.arrays[x] = laid(memory, item.offset, x.spec.shape, order, x.spec.dtype)

    def _last_phases(self) -> dict[Value, int]:
        """The phase that reads the memory of a value last."""
        last: dict[Value, int] = {}
        for i, phase in enumerate(self.phases):
            for task in phase.tasks:
                for x in task.outputs:
                    if phase.pieces and x in self.batch.sums:
                        last[x] = i + 1  # it is added up after the phase
                for x in task.inputs:
                    last[self.root(x)] = i
        last.update((self.root(x), len(self.phases)) for x in self.results)
        return last

    def _place_assigned(self) -> None:
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
                    size = size_of(x) // self.batch.size * samples
                    found[x] = Interval(x, size, i, last[x])
            return [*{id(item): item for item in found.values()}.values()]

        bytes_of_sample = max([packed(intervals(1)), *map(self._of_sample, phase.tasks)])
        own = -(-self.batch.size // self.threads)
        fewest = max(CACHE // max(1, bytes_of_sample), *map(self._fewest, phase.tasks), 1)
        pieces = -(-own // fewest)
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

    def _of_sample(self, task: Task) -> int:
        """Bytes of a sample in what a task reads and makes."""
        values = {self.root(x) for x in (*task.inputs, *task.outputs)}
        return sum(size_of(x) for x in values if x in self.batch.axes) // self.batch.size

    def _fewest(self, task: Task) -> int:
        """The samples for which it pays that every piece reads, or adds to, what does not stay in
        the cache, as filters: those that are as many bytes. Winograd's kernels do so for each block
        of tiles anyway."""
        plan = task.calls[0].params.get("plan")
        if isinstance(plan, Winograd):
            return plan.samples_of_block
        values = {x for x in (*task.inputs, *task.outputs) if x not in self.batch.axes}
        again = sum(size_of(x) for x in values if x not in self.batch.filled)
        return again // max(1, self._of_sample(task)) if again > CACHE else 1

    def local_size(self) -> int:
        """Bytes that a thread needs for pieces."""
        sizes = [
            offset + size_of(x) // self.batch.size * self.chunks[number]
            for x, (number, offset) in self.local.items()
        ]
        return max(sizes, default=0)
