"""Running a program op by op with the backend's kernels: what any backend can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph import config, execute
from tensorgraph.backend import Backend
from tensorgraph.program import Program, Value


class Interpreter:
    """Replays a program with the kernels that eager mode runs, and without its graph.

    Arrays are forgotten as soon as nobody reads them any more.
    """

    def __init__(self, program: Program, backend: Backend) -> None:
        self.program = program
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

    def __str__(self) -> str:
        return str(self.program)

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
