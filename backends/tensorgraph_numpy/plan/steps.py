"""Calls made ready to run on a list of values, with memory of dead values used again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from tensorgraph import Spec
from tensorgraph.program import Call, Value
from tensorgraph_numpy.plan.direct import Direct

REUSED_ELEMENTS = 1 << 10  # from here on writing into dead memory is faster than new memory


class Step(NamedTuple):
    """``values[out] = run(*values at inputs)``, after which ``dead`` are not needed any more."""

    run: Callable[..., Any]
    inputs: tuple[int, ...]
    out: int
    dead: tuple[int, ...]


def steps(
    calls: Sequence[Call],
    how: Mapping[Value, Direct],
    spec: Callable[[Value], Spec],
    slots: Mapping[Value, int],
    kept: Collection[Value],
) -> list[Step]:
    """The calls as steps on values at ``slots``; ``kept`` are read after them.

    An elementwise call writes into the memory of an input that nobody reads any more, if a call
    here made it. What may be a view reads the memory that it may view. ``how`` says how the call
    of each output runs, ``spec`` what a value is here.
    """
    memory: dict[Value, frozenset[Value]] = {}  # of a value: the values that may lie in it too
    for call in calls:
        views = [o for x in call.inputs for o in memory.get(x, {x})]
        memory[call.out] = frozenset({call.out} if how[call.out].fresh else views)
    read = set(kept)  # after the call
    used = {o for x in kept for o in memory.get(x, {x})}  # memory that is read after the call
    found: list[Step] = []
    for call in reversed(calls):
        made, inputs = how[call.out], dict.fromkeys(call.inputs)
        dead = tuple(slots[x] for x in (*inputs, call.out) if x not in read)
        taken = tuple(slots[x] for x in call.inputs)
        wanted = spec(call.out)
        target = None
        if made.into is not None and wanted.size >= REUSED_ELEMENTS:
            for x in inputs:
                own = x in how and how[x].fresh
                if own and x not in used and spec(x) == wanted:
                    target = x
        if target is not None and made.into is not None:
            found.append(Step(made.into, (*taken, slots[target]), slots[call.out], dead))
        else:
            found.append(Step(made.run, taken, slots[call.out], dead))
        read.update(inputs)
        used.update(o for x in inputs for o in memory.get(x, {x}))
    found.reverse()
    return found


class Ready:
    """Steps as the lines of one function of a list of values, in which values are local variables;
    what the steps make is left in the list where it is ``kept``. ``steps`` can be replaced.

    Between two calls of NumPy there is as little Python as can be: a step of small arrays takes
    0.5 us in NumPy, and a loop over steps took as long again.
    """

    def __init__(self, steps: Sequence[Step], kept: Collection[int]) -> None:
        self.kept = set(kept)
        self.steps = steps

    @property
    def steps(self) -> Sequence[Step]:
        return self._steps

    @steps.setter
    def steps(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        made = {step.out for step in steps}
        read = dict.fromkeys(x for step in steps for x in step.inputs if x not in made)
        dead = {x for step in steps for x in step.dead}
        lines = [f"v{x} = values[{x}]" for x in read]
        lines += [f"values[{x}] = None" for x in read if x in dead]
        for i, step in enumerate(steps):
            lines.append(f"v{step.out} = run{i}({', '.join(f'v{x}' for x in step.inputs)})")
            lines += [f"del v{x}" for x in step.dead]
        lines += [f"values[{x}] = v{x}" for x in sorted(made & self.kept)]
        source = "".join(f"    {line}\n" for line in (*lines, "return"))
        space: dict[str, Any] = {f"run{i}": step.run for i, step in enumerate(steps)}
        exec(_code(f"def run(values):\n{source}"), space)
        self.run: Callable[[list[Any]], None] = space["run"]


@functools.lru_cache(64)
def _code(source: str) -> Any:
    """Chunks of a batch have the same steps, and kernels of their own."""
    return compile(source, "<plan>", "exec")
