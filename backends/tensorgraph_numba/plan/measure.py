"""What a plan consists of, and where its time goes: the clock is read between native calls."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types
from tensorgraph_numpy.plan.measure import average, limits
from tensorgraph_numpy.threads import POOL

from tensorgraph.program import Outline, Stage, Timing, Timings
from tensorgraph.program import Task as Part
from tensorgraph_numba import native
from tensorgraph_numba.plan import tasks

if TYPE_CHECKING:
    from tensorgraph_numba.plan.runner import Plan

SUMS = "adding up the threads' sums"
COPIES = "copying into tensors"
WAITING = "waiting for other threads"
OUTSIDE = "outside kernels: hand-off, Python"


def outline(plan: Plan) -> Outline:
    """The tasks of a plan in their phases, and where its values lie."""
    planner = plan.planner
    program = planner.program
    stages = []
    for i, phase in enumerate(planner.phases):
        what = f"pieces of {planner.chunks[i]} samples" if phase.pieces else "whole values"
        stages.append(Stage(what, tuple(_part(plan, task) for task in phase.tasks)))
    old = {tensor: value for value, tensor in program.state.items()}
    written = {
        value: old[tensor]
        for tensor, value in program.assigned.items()
        if tensor in old and planner.arrays.get(value) is planner.loans[old[tensor]].array
    }
    return Outline(
        program,
        stages,
        planner.threads,
        {value: planner.root(value) for value in planner.views},
        planner.local.keys(),
        planner.shares.keys(),
        written,
        _memory(plan),
    )


def _part(plan: Plan, task: tasks.Task) -> Part:
    name = task.name
    if isinstance(task, tasks.Chain):
        name = "chain"
    elif isinstance(task, tasks.Host):
        name = f"{plan.planner.backend.name}.{name}"
    return Part(name, task.calls, tuple(task.inputs), tuple(task.outputs))


def _memory(plan: Plan) -> dict[str, int]:
    """The bytes of all arrays of a plan; those that overlap count once."""
    planner = plan.planner
    seen: set[int] = set()

    def held(arrays: Sequence[Any]) -> int:
        owners = {id(owner): owner for owner in map(_owner, arrays)}
        new = {number: x for number, x in owners.items() if number not in seen}
        seen.update(new)
        return sum(x.nbytes for x in new.values())

    sizes = {
        "lent by tensors": held([loan.array for loan in planner.loans.values()]),
        "arguments": held(plan._inputs),
        "shares of sums": held([x for shares in planner.shares.values() for x in shares]),
        "whole values": held(list(planner.arrays.values())),
        "pieces": held([bench.memory for bench in plan.benches]),
        "scratch": held([x for bench in plan.benches for x in bench.scratch.blocks.values()]),
    }
    return {what: size for what, size in sizes.items() if size}


def _owner(array: Any) -> Any:
    """The array whose memory another one views."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


clock = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.int64))
MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 1)


@native.inner
def drive_timed(table: Any, counter: int, threads: int, identity: int, times: Any) -> None:
    """``native.drive``, and the time before each row and after the last: seconds and nanoseconds,
    rows of ``times``. A reading takes about 25 ns."""
    place = times.ctypes.data
    for i in range(table.shape[0]):
        clock(identity, place + 16 * i)
        native.drive(table[i : i + 1], counter, threads)
    clock(identity, place + 16 * table.shape[0])


class Timed:
    """A section of a plan, that takes its own time; called instead of it."""

    def __init__(self, plan: Plan, section: Any, part: Callable[[], None]) -> None:
        self.plan = plan
        self.section = section
        self.part = part
        self.seconds: list[Counter[Any]] = []  # of each run: of tasks and of names → seconds

    def __call__(self) -> None:
        start = time.perf_counter()
        self.part()
        self.seconds.append(self._spent(time.perf_counter() - start))

    def _spent(self, seconds: float) -> Counter[Any]:
        owner = self.plan.hosts.get(id(self.section), COPIES)
        return Counter({owner: seconds})

    def kernels(self) -> Iterator[tuple[Any, str]]:
        """Every call: the task or name that it belongs to, and the name of its kernel."""
        yield self.plan.hosts.get(id(self.section), COPIES), "numpy"


class TimedRows(Timed):
    """Rows of native calls for every thread."""

    def __init__(self, plan: Plan, section: Any, part: Callable[[], None]) -> None:
        super().__init__(plan, section, part)
        self.threads = len(section)
        self.owners = [[self._owner(call) for call in rows] for rows in section]
        tables = [native.table(rows) for rows in section]
        self.times = [np.zeros((len(rows) + 1, 2), np.int64) for rows in section]
        counter = plan.counter.ctypes.data
        drives = [
            functools.partial(drive_timed, table, counter, self.threads, MONOTONIC, times)
            for table, times in zip(tables, self.times, strict=True)
        ]
        self.part = drives[0] if self.threads == 1 else functools.partial(POOL.run, drives)

    def _owner(self, call: native.Call | None) -> Any:
        if call is None:
            return WAITING
        found = [x for bench in self.plan.benches if (x := bench.owners.get(id(call)))]
        return found[0] if found else SUMS

    def _spent(self, seconds: float) -> Counter[Any]:
        spent: Counter[Any] = Counter()
        for owners, times in zip(self.owners, self.times, strict=True):
            taken = np.diff(times @ [1_000_000_000, 1]) * (1e-9 / self.threads)
            for owner, each in zip(owners, taken.tolist(), strict=True):
                spent[owner] += each
        return spent

    def kernels(self) -> Iterator[tuple[Any, str]]:
        for owners, rows in zip(self.owners, self.section, strict=True):
            for owner, call in zip(owners, rows, strict=True):
                if call is not None:
                    yield owner, call.name


def timings(plan: Plan, replay: Callable[[], object], times: int) -> Timings:
    """See ``tensorgraph.program.Inspected``."""
    timed = [
        (Timed if callable(section) else TimedRows)(plan, section, part)
        for section, part in zip(plan.sections, plan.parts, strict=True)
    ]
    runs = []
    with _as_before(plan), _in_place_of(plan, timed):
        replay()  # compiles what takes the time, and warms up the caches
        for part in timed:
            part.seconds.clear()
        for _ in range(times):
            start = time.perf_counter()
            replay()
            runs.append(time.perf_counter() - start)
    spent = [sum((part.seconds[i] for part in timed), Counter()) for i in range(times)]
    run, seconds = average(runs, spent)
    kernels: dict[Any, Counter[str]] = {}
    for part in timed:
        for owner, name in part.kernels():
            kernels.setdefault(owner, Counter())[name] += 1
    all_tasks = [task for phase in plan.planner.phases for task in phase.tasks]
    found = [Timing(seconds.get(t, 0.0), kernels.get(t, {})) for t in all_tasks]
    other = {what: seconds[what] for what in (SUMS, COPIES, WAITING) if what in seconds}
    other[OUTSIDE] = run - sum(seconds.values())
    return Timings(found, other, run, limits(plan.planner.threads, _dtype(plan)))


def _dtype(plan: Plan) -> str:
    """The dtype of most numbers."""
    sizes: Counter[str] = Counter()
    for call in plan.planner.program.calls:
        sizes[call.out.spec.dtype] += call.out.spec.size
    return max(("float32", "float64"), key=lambda dtype: sizes[dtype])


@contextmanager
def _in_place_of(plan: Plan, parts: Sequence[Callable[[], None]]) -> Iterator[None]:
    """While it lasts, a run of the plan runs these parts."""
    before, plan.parts = plan.parts, list(parts)
    try:
        yield
    finally:
        plan.parts = before


@contextmanager
def _as_before(plan: Plan) -> Iterator[None]:
    """Tensors that the plan writes get the values back that they had."""
    kept = [(tensor, held, np.array(tensor.data)) for tensor, held in plan._assigned]
    try:
        yield
    finally:
        for tensor, held, values in kept:
            held.array[...] = values
            tensor.lend(held)
