"""Which calls run together, and in which order: every call as late as its first reader wants it.

Calls are looked at from the last to the first. One joins the group that reads its result first, if
both go through the same space: so a mask or a product is computed where it is used, and never
stored. A sum joins another of the same values over the same axes. Groups stay in order by
themselves, since whatever reads a value has its place before its maker gets one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tensorgraph.program import Call, Value
from tensorgraph_cupy.plan.chains import SUMS, Group, summable

MOST = 24  # values that one kernel reads or writes, and calls in a chain: registers are finite


class Grouped:
    """Calls that run together; ``group`` is None for one that is no chain's."""

    def __init__(self, call: Call, group: Group | None) -> None:
        self.calls = [call]  # the last one first
        self.group = group
        self.reads = set(call.inputs)

    def takes(self, call: Call, group: Group, *, feeds: bool) -> bool:
        """Whether a call may join that comes before all of these; ``feeds``: they read its result,
        which is not there before a sum has ended."""
        mine = self.group
        if mine is None or mine.shape != group.shape or (feeds and group.kept is not None):
            return False
        kept = group.kept or mine.kept
        if group.kept is not None and mine.kept not in (None, group.kept):
            return False
        if kept is not None and not summable(mine.shape, self.reads | set(call.inputs), kept):
            return False
        return len(self.reads | set(call.inputs)) <= MOST and len(self.calls) < 4 * MOST

    def add(self, call: Call, group: Group) -> None:
        self.calls.append(call)
        self.reads.update(call.inputs)
        if group.kept is not None:
            self.group = group


def grouped(
    calls: Sequence[Call],
    group_of: Callable[[Call], Group | None],
    roots: Mapping[Value, Value],
) -> list[list[Call]]:
    """The calls in groups, in the order in which these run. ``roots``: views → whose memory it
    is; calls that only make views are left out."""
    made: list[Grouped] = []  # the last to run first
    needed: dict[Value, int] = {}  # value → number of the group that reads it first
    for call in reversed(calls):
        if call.out in roots:
            continue
        group = group_of(call)
        first = needed.get(call.out, -1)
        place = None
        if group is not None:
            place = _place(made, call, group, first)
        if place is None:
            place = len(made)
            made.append(Grouped(call, group))
        else:
            assert group is not None
            made[place].add(call, group)
        for x in call.inputs:
            root = roots.get(x, x)
            needed[root] = max(needed.get(root, -1), place)
    return [list(reversed(each.calls)) for each in reversed(made)]


def _place(made: Sequence[Grouped], call: Call, group: Group, first: int) -> int | None:
    """The number of the group that the call joins."""
    if first >= 0 and made[first].takes(call, group, feeds=True) and call.out in made[first].reads:
        return first
    if call.op.name not in SUMS:
        return None
    for number in range(len(made) - 1, first, -1):  # beside another sum of the same values
        each = made[number]
        if (
            each.group is not None
            and each.group.kept is not None
            and each.reads & set(call.inputs)
            and each.takes(call, group, feeds=False)
        ):
            return number
    return None
