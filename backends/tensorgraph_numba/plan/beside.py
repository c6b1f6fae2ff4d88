"""A plan that runs on NumPy's kernels while Numba compiles its own in another process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph_numpy.plan.runner import compile_program as compile_on_numpy

from tensorgraph.backend import Backend
from tensorgraph.program import Inspected, Limits, Outline, Program, Runner, Timings
from tensorgraph_numba import warm
from tensorgraph_numba.plan import runner

VARIABLE = "TENSORGRAPH_JIT"  # "wait": compile before the first step


class Beside:
    """Runs on NumPy until the kernels of a plan are in the cache, then on those."""

    def __init__(self, plan: runner.Plan, meanwhile: Inspected, missing: list[str]) -> None:
        self.plan = plan
        self.runner = meanwhile
        self.settled = False
        warm.BUILDER.ask(missing)

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        if not self.settled and warm.BUILDER.done():
            self._settle()
        return self.runner.run(arguments, hosts)

    def _settle(self) -> None:
        """Go over to the compiled kernels, if they are there."""
        self.settled = True
        if not self.plan.missing():
            self.plan.finish()
            self.runner = self.plan

    def outline(self) -> Outline:
        return self.runner.outline()

    def timings(self, replay: Callable[[], object], times: int) -> Timings:
        settled, self.settled = self.settled, True  # one runner for all of them
        try:
            return self.runner.timings(replay, times)
        finally:
            self.settled = settled

    def limits(self, dtype: str, size: int) -> Limits:
        return self.runner.limits(dtype, size)


def compile_program(program: Program, backend: Backend) -> Runner | None:
    """The plan of native calls if its kernels are compiled; else NumPy's until they are."""
    plan = runner.compile_program(program, backend)
    if plan is None:
        return None
    missing = plan.missing()
    if missing and os.environ.get(VARIABLE) != "wait":
        return Beside(plan, compile_on_numpy(program, backend), missing)
    plan.finish()
    return plan
