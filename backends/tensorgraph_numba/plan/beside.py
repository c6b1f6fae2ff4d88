"""A plan that runs on NumPy's kernels while Numba compiles its own in another process."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from tensorgraph.backend import Backend
from tensorgraph.program import Program, Runner
from tensorgraph_numba import warm
from tensorgraph_numba.plan import runner
from tensorgraph_numpy.plan.runner import compile_program as compile_on_numpy

VARIABLE = "TENSORGRAPH_JIT"  # "wait": compile before the first step


class Beside:
    """Runs on NumPy until the kernels of a plan are in the cache, then on those."""

    def __init__(self, plan: runner.Plan, meanwhile: Runner, missing: list[str]) -> None:
        self.plan = plan
        self.runner: Runner = meanwhile
        self.started = time.monotonic()
        self.process = warm.start(missing)
        self.settled = False
        atexit.register(self.process.terminate)

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        if not self.settled and self.process.poll() is not None:
            self._settle()
        return self.runner.run(arguments, hosts)

    def _settle(self) -> None:
        """Go over to the compiled kernels, if they are there."""
        self.settled = True
        seconds = time.monotonic() - self.started
        if self.process.returncode == 0 and not self.plan.missing():
            self.plan.finish()
            self.runner = self.plan
            said = f"kernels were compiled beside the run in {seconds:.0f} s, and kept for the next"
        else:
            said = "kernels could not be compiled; 'tensorgraph warm-up' says why"
        print(f"tensorgraph: {said}", file=sys.stderr)

    def __str__(self) -> str:
        return str(self.runner)


def compile_program(program: Program, backend: Backend) -> Runner | None:
    """The plan of native calls if its kernels are compiled; else NumPy's until they are."""
    plan = runner.compile_program(program, backend)
    if plan is None:
        return None
    missing = plan.missing()
    if missing and os.environ.get(VARIABLE) != "wait":
        meanwhile: Runner | None = compile_on_numpy(program, backend)
        if meanwhile is not None:
            return Beside(plan, meanwhile, missing)
    plan.finish()
    return plan
