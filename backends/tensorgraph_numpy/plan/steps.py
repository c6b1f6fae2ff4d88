"""Calls made ready to run on a list of values, with memory of dead values used again."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tensorgraph import Spec
from tensorgraph.program import Call, Value
from tensorgraph_numpy.plan.direct import Direct

REUSED_ELEMENTS = 1 << 12  # from here on writing into dead memory is faster than new memory


class Step(NamedTuple):
    """``values[out] = run(*get(values))``, after which ``dead`` are not needed any more."""

    run: Callable[..., Any]
    get: Callable[[list[Any]], Sequence[Any]]
    out: int
    dead: tuple[int, ...]


def run(steps: Iterable[Step], values: list[Any]) -> None:
    for call, get, out, dead in steps:
        values[out] = call(*get(values))
        for i in dead:
            values[i] = None


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
        taken = [slots[x] for x in call.inputs]
        wanted = spec(call.out)
        target = None
        if made.into is not None and wanted.size >= REUSED_ELEMENTS:
            for x in inputs:
                own = x in how and how[x].fresh
                if own and x not in used and spec(x) == wanted:
                    target = x
        if target is not None and made.into is not None:
            found.append(Step(made.into, _getter([*taken, slots[target]]), slots[call.out], dead))
        else:
            found.append(Step(made.run, _getter(taken), slots[call.out], dead))
        read.update(inputs)
        used.update(o for x in inputs for o in memory.get(x, {x}))
    found.reverse()
    return found


def _getter(slots: Sequence[int]) -> Callable[[list[Any]], Sequence[Any]]:
    """A function from the list of values to those at ``slots``."""
    if len(slots) > 1:
        return operator.itemgetter(*slots)
    return operator.itemgetter(slice(slots[0], slots[0] + 1) if slots else slice(0))
