"""Plans bound to memory: tables of native calls for each thread, and what Python does between."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tensorgraph_numpy.memory import give_back
from tensorgraph_numpy.plan.expand import expanded
from tensorgraph_numpy.plan.measure import limits
from tensorgraph_numpy.plan.split import Batch
from tensorgraph_numpy.threads import POOL

from tensorgraph.backend import Backend
from tensorgraph.program import Limits, Outline, Program, Timings, Value
from tensorgraph_numba import native, warm
from tensorgraph_numba.kernels.chain import Step, chain
from tensorgraph_numba.plan import debug, guards, measure
from tensorgraph_numba.plan.again import recomputed
from tensorgraph_numba.plan.batch_moments import with_moments
from tensorgraph_numba.plan.bench import Bench
from tensorgraph_numba.plan.chains import delayed, space
from tensorgraph_numba.plan.memory import aligned
from tensorgraph_numba.plan.placement import Phase
from tensorgraph_numba.plan.planner import Planner, served
from tensorgraph_numba.plan.prepare import SPLITS, prepared
from tensorgraph_numba.plan.tasks import Host, Task

WORTH_SHARING = 2e5  # operations and numbers moved: some 100 us of one thread


class RefusedError(Exception):
    """No kernel serves these tasks as they are."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__(", ".join(task.name for task in tasks))
        self.tasks = tasks


class Plan:
    """A program as tables that threads walk through; see ``tensorgraph.program.Runner``."""

    def __init__(self, program: Program, planner: Planner) -> None:
        self.program = program
        self.planner = planner
        threads = planner.threads
        size = planner.local_size()
        refused: list[Task] = []
        self.checked = guards.enabled()
        made = debug.WatchedBench if self.checked else Bench
        self.benches = [made(planner, t, aligned(size, np.uint8), refused) for t in range(threads)]
        self.counter = np.zeros(8, np.int64)
        self.rows: list[list[native.Call | None]] = [[] for _ in range(threads)]
        self.parts: list[Callable[[], None]] = []
        self.sections: list[Any] = []  # rows for each thread, or what Python does between
        self.hosts: dict[int, Task] = {}  # id of what Python does → what it is for
        for i, phase in enumerate(planner.phases):
            if phase.pieces:
                self._pieces(i, phase)
            else:
                self._whole(phase)
        if refused:
            raise RefusedError(refused)
        self._copy(planner)
        self._close()
        planned = planner.program
        self._inputs = [planner.arrays[x] for x in planned.arguments]
        self._hosts = [planner.arrays[x] for _, values in planned.hosts for x in values]
        self._added = [(leaf, planner.arrays[x]) for leaf, x in planned.added.items()]
        self._loans = list(planner.loans.values())
        lent = {held.tensor: held for held in self._loans}
        self._assigned = [(tensor, lent[tensor]) for tensor in planned.assigned]

    def _array(self, value: Value) -> Any:
        bench = self.benches[0]
        bench.samples, bench.writing = None, None
        return bench[value]

    # putting the tables together

    def _copy(self, planner: Planner) -> None:
        """Write what could not be written in place; first aside what lies where others write."""
        program = planner.program
        copies = [(self._aside(value), held) for value, held in planner.copies]
        keep = self._aside if copies else self._array
        self._results = [keep(x) for x in (*program.outputs, *program.gradients.values())]
        for source, held in copies:
            self._host(functools.partial(np.copyto, held.array, source))

    def _aside(self, value: Value) -> Any:
        """The array of a value, or of a copy of it where it is a tensor's."""
        array = self._array(value)
        if self.planner.root(value) not in self.planner.program.state:
            return array
        aside = np.empty_like(array)
        self._host(functools.partial(np.copyto, aside, array))
        return aside

    def _close(self) -> None:
        """What was put down so far becomes tables, run by all threads."""
        if not any(self.rows):
            return
        self.sections.append(self.rows)
        self.rows = [[] for _ in self.rows]

    def missing(self) -> list[str]:
        """The kernels that have still to be compiled, by name and dtype."""
        calls = [c for s in self.sections if not callable(s) for rows in s for c in rows if c]
        needed = dict.fromkeys((kernel, c.dtype) for c in calls for kernel in c.kernels())
        needed[native.drive, "float32"] = None
        return [warm.name_of(*each) for each in needed if not native.loaded(*each)]

    def finish(self) -> None:
        """Make the tables; compiles the kernels that have not been."""
        if self.checked:
            self.parts = debug.parts(self)
            return
        counter, threads = self.counter.ctypes.data, self.planner.threads
        for section in self.sections:
            if callable(section):
                self.parts.append(section)
                continue
            tables = [native.table(rows) for rows in section]
            tasks = [native.driver(table, counter, threads) for table in tables]
            self.parts.append(tasks[0] if threads == 1 else functools.partial(POOL.run, tasks))

    def _host(self, function: Callable[[], None]) -> None:
        self._close()
        self.sections.append(function)

    def _wait(self) -> None:
        for rows in self.rows:
            if self.planner.threads > 1 and rows and rows[-1] is not None:
                break
        else:
            return
        for rows in self.rows:
            rows.append(None)

    def _pieces(self, number: int, phase: Phase) -> None:
        planner = self.planner
        n, chunk = planner.batch.size, planner.chunks[number]
        for t, bench in enumerate(self.benches):
            own = range(n * t // planner.threads, n * (t + 1) // planner.threads)
            count = -(-len(own) // chunk)
            for c in range(count):
                first, last = (own.start + len(own) * k // count for k in (c, c + 1))
                bench.samples, bench.accumulate = range(first, last), c > 0
                for task in phase.tasks:
                    self.rows[t] += bench.bind(task)
            bench.samples, bench.accumulate = None, False
        self._wait()
        if planner.threads > 1:
            self._add_shares(phase)

    def _add_shares(self, phase: Phase) -> None:
        """Sum what the threads have summed; each takes some of the values."""
        planner = self.planner
        values = [x for task in phase.tasks for x in task.outputs if x in planner.shares]
        loads = [0] * planner.threads
        for x in sorted(values, key=lambda x: -x.spec.size):
            shares, out = planner.shares[x], planner.arrays[x]
            flat = [_flat(a, planner.order.get(x)) for a in (*shares, out)]
            steps = [Step("add", (0, 1))]
            steps += [Step("add", (len(shares) + i, i + 2)) for i in range(len(shares) - 2)]
            pieces = planner.threads if x.spec.size > 4096 else 1
            for p in range(pieces):
                t = p if pieces > 1 else loads.index(min(loads))
                cut = slice(x.spec.size * p // pieces, x.spec.size * (p + 1) // pieces)
                parts = [a[cut] for a in flat]
                scratch = self.benches[t].scratch(x.spec.dtype)
                last = len(shares) + len(steps) - 1
                self.rows[t] += chain(parts[:-1], steps, [(last, parts[-1])], scratch=scratch)
                loads[t] += cut.stop - cut.start
        if values:
            self._wait()

    def _whole(self, phase: Phase) -> None:
        """Tasks on whole values, with waits only where one reads what another thread has made."""
        planner = self.planner
        by: dict[Value, int] = {}  # written since the last wait → by which thread; -1: several
        read: dict[int, int] = {}  # memory that was read since → by which thread
        loads = [0] * planner.threads
        for task in phase.tasks:
            if isinstance(task, Host):
                self._run_host(task)
                by.clear()
                read.clear()
                continue
            roots = {planner.root(x) for x in task.inputs}
            places = {self._memory_of(x) for x in task.outputs}
            makers = {by[x] for x in roots if x in by}
            makers |= {read[x] for x in places if x in read}
            shared = task.shared and planner.threads > 1
            if makers and (shared or len(makers) > 1 or -1 in makers):
                self._wait()
                by.clear()
                read.clear()
                makers = set()
            if shared:
                mine = -1
                for t, bench in enumerate(self.benches):
                    self.rows[t] += bench.bind(task)
            else:
                mine = makers.pop() if makers else loads.index(min(loads))
                self.rows[mine] += self.benches[mine].bind(task)
                loads[mine] += sum(x.spec.size for x in task.outputs)
            by.update(dict.fromkeys(task.outputs, mine))
            for x in map(self._memory_of, roots):
                read[x] = mine if read.get(x, mine) == mine else -1
        self._wait()

    def _memory_of(self, value: Value) -> int:
        return int(self.planner.arrays[value].ctypes.data)

    def _run_host(self, task: Host) -> None:
        for call in task.calls:
            kernel, params = self.planner.kernel_of(call)
            inputs, out = [self._array(x) for x in call.inputs], self._array(call.out)

            def run(kernel=kernel, params=params, inputs=inputs, out=out) -> None:  # type: ignore[no-untyped-def]
                out[...] = kernel(*inputs, **params)

            self._host(run)
            self.hosts[id(run)] = task

    # running

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        for kept, array in zip(self._inputs, arguments, strict=True):
            np.copyto(kept, array)
        for kept, array in zip(self._hosts, hosts, strict=True):
            kept[...] = array
        for leaf, kept in self._added:
            assert leaf.grad is not None  # a guard of the plan
            kept[...] = leaf.grad.data
        for held in self._loans:
            if held.tensor.lender is not held:
                held.renew()
        for part in self.parts:
            part()
        for tensor, held in self._assigned:
            if tensor._array is not None:
                tensor.lend(held)  # what was copied out of it is old
        return [array.copy() for array in self._results]

    def outline(self) -> Outline:
        return measure.outline(self)

    def timings(self, replay: Callable[[], object], times: int) -> Timings:
        return measure.timings(self, replay, times)

    def limits(self, dtype: str, size: int) -> Limits:
        return limits(self.planner.threads, dtype, size)


def _flat(array: Any, order: Any) -> Any:
    return (array if order is None else array.transpose(order)).reshape(-1, copy=False)


def cost(program: Program) -> float:
    """Operations, and numbers moved, of a run; in chains most numbers stay where they are."""
    total = 0.0
    for call in program.calls:
        flops, out = call.op.count_flops, call.out.spec
        if flops:
            total += flops(out, *[x.spec for x in call.inputs], **call.params) / 16
        else:
            total += out.size / 4 if space(call) is not None else out.size
    return total


def compile_program(program: Program, backend: Backend) -> Plan | None:
    """A plan of native calls; calls that no kernel serves are left to the backend."""
    give_back()
    batch = Batch(program, rules=SPLITS)
    threads = POOL.threads if cost(program) > WORTH_SHARING and batch.size >= POOL.threads else 1
    whole, batch = expanded(with_moments(program, batch, threads), backend, SPLITS)
    whole, late = delayed(prepared(whole, batch, threads))
    refused = {call.out for call in whole.calls if not served(call)}
    whole, late = recomputed(whole, late, Batch(whole, refused, SPLITS))
    alone: set[Value] = set()
    while True:
        batch = Batch(whole, refused, SPLITS)
        planner = Planner(whole, late, backend, batch, threads, refused, alone)
        try:
            return Plan(program, planner)
        except RefusedError as error:
            for task in error.tasks:
                outs = {call.out for call in task.calls}
                if len(outs) > 1:
                    alone |= outs
                elif outs <= refused:
                    raise
                else:
                    refused |= outs
