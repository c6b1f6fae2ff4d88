"""When the calls of a program run: phases on pieces of the batch, and phases on whole values.

They alternate. Within a phase on pieces each thread takes its samples through all calls without
waiting for anybody; what is summed over the batch, or computed from such a sum, is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tensorgraph.program import Call, Value
from tensorgraph_numpy.plan.split import Batch


class Phase(NamedTuple):
    """Calls that run one after the other, on each piece of the batch or on whole values."""

    pieces: bool
    calls: list[Call]


def phases(calls: Sequence[Call], batch: Batch) -> list[Phase]:
    """The calls in phases, each as early as its inputs allow."""
    number: dict[Value, int] = {}  # even: on pieces; odd: whole
    found: dict[int, list[Call]] = {}
    for call in calls:
        in_pieces = call.out in batch.axes or call.out in batch.sums
        at = 0 if in_pieces else -1
        for x in call.inputs:
            if x not in number:
                continue
            before = number[x]
            if in_pieces:
                ready = (
                    before
                    if before % 2 == 0 and x in batch.axes
                    else before + 1 + (before % 2 == 0)
                )
            else:
                ready = before + (before % 2 == 0)
            at = max(at, ready)
        number[call.out] = at
        found.setdefault(at, []).append(call)
    return [Phase(at % 2 == 0, found[at]) for at in sorted(found)]
