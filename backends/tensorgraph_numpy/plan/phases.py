"""When the calls of a program run: phases on pieces of the batch, and phases on whole values.

They alternate. Within a phase on pieces each thread takes its samples through all calls without
waiting for anybody; what is summed over the batch, or computed from such a sum, is whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tensorgraph.program import Call, Value
from tensorgraph_numpy.plan.split import ELEMENTWISE, Batch


class Phase(NamedTuple):
    """Calls that run one after the other, on each piece of the batch or on whole values."""

    pieces: bool
    calls: list[Call]


def phases(calls: Sequence[Call], batch: Batch, late: Collection[Value] = ()) -> list[Phase]:
    """The calls in phases, each as early as its inputs allow; those that make ``late`` values in
    the phase of the call that comes after them, if they can."""
    number: dict[Value, int] = {}  # even: on pieces; odd: whole
    waiting: list[Value] = []
    for call in calls:
        at = number[call.out] = _earliest(call, batch, number)
        if call.out in late:
            waiting.append(call.out)
            continue
        for other in waiting:
            if number[other] % 2 == at % 2:
                number[other] = at
        waiting = []
    _put_off(calls, number)
    found: dict[int, list[Call]] = {}
    for call in calls:
        found.setdefault(number[call.out], []).append(call)
    return [Phase(at % 2 == 0, found[at]) for at in sorted(found)]


def _earliest(call: Call, batch: Batch, number: Mapping[Value, int]) -> int:
    split = call.out in batch.axes or call.out in batch.sums or call.out in batch.filled
    in_pieces = split and call.out not in batch.whole
    at = 0 if in_pieces else -1
    for x in call.inputs:
        if x in number:
            before = number[x]
            pieces = before % 2 == 0
            if in_pieces:
                at = max(at, before if pieces and x in batch.axes else before + 1 + pieces)
            else:
                at = max(at, before + pieces)
    return at


def _put_off(calls: Sequence[Call], number: dict[Value, int]) -> None:
    """Whole elementwise calls go to the first phase that reads them, where they may run together
    with what does."""
    needed: dict[Value, int] = {}
    for call in reversed(calls):
        at = number[call.out]
        if at % 2 and call.op.name in ELEMENTWISE and call.out in needed:
            at = number[call.out] = max(at, needed[call.out])
        for x in call.inputs:
            before = at - (at % 2 == 0)  # the phase on whole values that ends before it
            needed[x] = min(needed.get(x, before), before)
