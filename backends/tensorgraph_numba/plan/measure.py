"""What a plan consists of, and where its time goes: the clock is read between native calls."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorgraph_numpy.threads import POOL

from tensorgraph.program import Outline, Stage, Timings
from tensorgraph.program import Task as Part
from tensorgraph_numba import native
from tensorgraph_numba.late import Late, types
from tensorgraph_numba.plan import tasks

if TYPE_CHECKING:
    from tensorgraph_numba.plan.runner import Plan

SUMS = "adding up the threads' sums"
COPIES = "copying into tensors"
WAITING = "waiting for other threads"


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
        owners = {id(x): x for x in map(owner, arrays)}
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


def owner(array: Any) -> Any:
    """The array whose memory another one views."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


clock = Late(lambda: types.ExternalFunction("clock_gettime", types.int32(types.int32, types.int64)))
MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 1)


@native.inner
def drive_timed(table: Any, counter: int, threads: int, identity: int, times: Any) -> None:
    """``native.drive_rows``, and the time before each row and after the last: seconds and
    nanoseconds, rows of ``times``. A reading takes about 25 ns."""
    place = times.ctypes.data
    for i in range(table.shape[0]):
        clock(identity, place + 16 * i)
        rows = native._pointer(table.ctypes.data + 16 * i, i)
        native.drive_rows(rows, 1, counter, threads)
    clock(identity, place + 16 * table.shape[0])


class Timed:
    """What Python does between tables, and how long it takes; called instead of it.

    kernels  of every call: its task, or what else it is for; the name of its kernel
    """

    def __init__(self, plan: Plan, section: Any, part: Callable[[], None]) -> None:
        self.part = part
        task = plan.hosts.get(id(section))
        self.kernels: list[tuple[tasks.Task | str, str]] = [(task or COPIES, "numpy")]

    def __call__(self) -> None:
        self.start = time.perf_counter()
        self.part()
        self.end = time.perf_counter()

    def seconds(self) -> list[float]:
        """How long the calls of the last run took, of all threads divided by their number."""
        return [self.end - self.start]


class TimedRows(Timed):
    """Rows of native calls for every thread."""

    def __init__(self, plan: Plan, section: Any, part: Callable[[], None]) -> None:
        self.kernels = [
            (WAITING, "") if call is None else (_owner_of(call, plan), call.name)
            for rows in section
            for call in rows
        ]
        threads, counter = len(section), plan.counter.ctypes.data
        self.times = [np.zeros((len(rows) + 1, 2), np.int64) for rows in section]
        drives = [
            functools.partial(drive_timed, native.table(rows), counter, threads, MONOTONIC, times)
            for rows, times in zip(section, self.times, strict=True)
        ]
        self.part = drives[0] if threads == 1 else functools.partial(POOL.run, drives)

    def seconds(self) -> list[float]:
        readings = [times @ [1_000_000_000, 1] for times in self.times]
        share = 1e-9 / len(readings)
        return [x * share for each in readings for x in np.diff(each).tolist()]


def _owner_of(call: native.Call, plan: Plan) -> tasks.Task | str:
    found = [bench.owners[id(call)] for bench in plan.benches if id(call) in bench.owners]
    return found[0] if found else SUMS


def timings(plan: Plan, replay: Callable[[], object], times: int) -> Timings:
    """See ``tensorgraph.program.Inspected``."""
    number: dict[tasks.Task | str, int | str] = {what: what for what in (SUMS, COPIES, WAITING)}
    number |= {
        task: i for i, task in enumerate(t for phase in plan.planner.phases for t in phase.tasks)
    }
    timed = [
        (Timed if callable(section) else TimedRows)(plan, section, part)
        for section, part in zip(plan.sections, plan.parts, strict=True)
    ]
    kernels: dict[int, Counter[str]] = {}
    for task, name in (each for part in timed for each in part.kernels):
        if isinstance(i := number[task], int):
            kernels.setdefault(i, Counter())[name] += 1
    runs: list[float] = []
    spent: list[dict[int | str, float]] = []
    with _as_before(plan), _in_place_of(plan, timed):
        replay()
        for _ in range(times):
            start = time.perf_counter()
            replay()
            runs.append(time.perf_counter() - start)
            spent.append({})
            for part in timed:
                for (task, _), seconds in zip(part.kernels, part.seconds(), strict=True):
                    i = number[task]
                    spent[-1][i] = spent[-1].get(i, 0.0) + seconds
    return Timings(runs, spent, kernels)


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
