"""Running a program op by op with the backend's kernels: what any backend can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph import config, execute
from tensorgraph.backend import Backend
from tensorgraph.program import Limits, Outline, Program, Stage, Task, Timings, Value
from tensorgraph_walks.limits import limits


class Interpreter:
    """Replays a program with the kernels that eager mode runs, and without its graph.

    Arrays are forgotten as soon as nobody reads them any more.
    """

    def __init__(self, program: Program, backend: Backend) -> None:
        self.program = program
        self.backend = backend
        self._steps: list[tuple[Any, Any, list[Value], Value, list[Value]]] = []
        kept = set(program.results()) | set(program.constants)
        later: set[Value] = set(kept)
        for call in reversed(program.calls):
            specs = tuple(x.spec for x in call.inputs)
            settled = execute.settle(call.op, backend, specs, dict(call.params), config.current())
            over = [x for x in dict.fromkeys(call.inputs) if x not in later]
            later.update(call.inputs)
            self._steps.append((settled.kernel, settled.params, list(call.inputs), call.out, over))
        self._steps.reverse()
        self._constants = {value: x.data for value, x in program.constants.items()}

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        """Run on these arrays; writes what is assigned, returns outputs and gradients."""
        program = self.program
        arrays: dict[Value, Any] = dict(self._constants)
        arrays.update(zip(program.arguments, arguments, strict=True))
        made = [value for _, values in program.hosts for value in values]
        arrays.update(zip(made, hosts, strict=True))
        arrays.update((value, x.data) for value, x in program.state.items())
        for leaf, value in program.added.items():
            assert leaf.grad is not None  # a guard of the plan
            arrays[value] = leaf.grad.data
        for kernel, params, inputs, out, over in self._steps:
            arrays[out] = kernel(*[arrays[x] for x in inputs], **params)
            for x in over:
                del arrays[x]
        for tensor, value in program.assigned.items():
            tensor.data = arrays[value]
        return [arrays[x] for x in (*program.outputs, *program.gradients.values())]

    def outline(self) -> Outline:
        """The calls, one after the other."""
        return as_recorded(self.program)

    def timings(self, replay: Callable[[], object], times: int) -> Timings:
        """See ``tensorgraph.program.Inspected``."""
        log: list[float] = []

        def timed(kernel: Any) -> Any:
            def work(*arrays: Any, **params: Any) -> Any:
                start = time.perf_counter()
                made = kernel(*arrays, **params)
                self.backend.synchronize()
                log.append(time.perf_counter() - start)
                return made

            return work

        kept = [(x, x.data) for x in self.program.assigned]
        steps = self._steps
        names = [_name(kernel) for kernel, *_ in steps]
        runs: list[float] = []
        spent: list[dict[int | str, float]] = []
        try:
            self._steps = [(timed(kernel), *others) for kernel, *others in steps]
            replay()
            for _ in range(times):
                log.clear()
                start = time.perf_counter()
                replay()
                runs.append(time.perf_counter() - start)
                spent.append(dict(enumerate(log)))
        finally:
            self._steps = steps
            for x, data in kept:
                x.data = data
        return Timings(runs, spent, {i: {name: 1} for i, name in enumerate(names)})

    def limits(self, dtype: str, size: int) -> Limits:
        return limits(self.backend, dtype, size)


def as_recorded(program: Program) -> Outline:
    """A program that is run call by call."""
    tasks = tuple(
        Task(c.op.name, (c,), tuple(dict.fromkeys(c.inputs)), (c.out,)) for c in program.calls
    )
    return Outline(program, [Stage("whole values", tasks)])


def _name(kernel: Any) -> str:
    """What a kernel is called; the portable kernels of the ops are not."""
    name = getattr(getattr(kernel, "func", kernel), "__name__", "")
    return name if name.isidentifier() and name != "_" else "portable"
