"""A plan that runs on NumPy's kernels while Numba compiles its own in another process."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from tensorgraph_numpy.plan.runner import compile_program as compile_on_numpy

from tensorgraph.backend import Backend
from tensorgraph.program import Program, Runner
from tensorgraph_numba import warm
from tensorgraph_numba.plan import runner

VARIABLE = "TENSORGRAPH_JIT"  # "wait": compile before the first step


class Beside:
    """Runs on NumPy until the kernels of a plan are in the cache, then on those."""

    def __init__(self, plan: runner.Plan, meanwhile: Runner, missing: list[str]) -> None:
        self.plan = plan
        self.meanwhile: Runner | None = meanwhile
        self.started = time.monotonic()
        self.process = warm.start(missing)
        atexit.register(self.process.terminate)

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        if self.meanwhile is None:
            return self.plan.run(arguments, hosts)
        if self.process.poll() is None or not self._switch():
            return self.meanwhile.run(arguments, hosts)
        return self.plan.run(arguments, hosts)

    def _switch(self) -> bool:
        """Go over to the compiled kernels, if they are there."""
        if self.process.returncode != 0 or self.plan.missing():
            return False
        self.plan.finish()
        self.meanwhile = None
        seconds = time.monotonic() - self.started
        message = (
            f"tensorgraph: kernels compiled beside the run in {seconds:.0f} s, kept for the next"
        )
        print(message, file=sys.stderr)
        return True

    def __str__(self) -> str:
        return str(self.plan if self.meanwhile is None else self.meanwhile)


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
