"""Which calls run together, and in which order: every call as late as its first reader wants it.

Sums are the exception: they run as soon as there is what they sum up, of which little is left.

Calls are looked at from the last to the first. One joins the group that reads its result first, if
both go through the same space: so a mask or a product is computed where it is used, and never
stored. A sum joins another of the same values over the same axes, or what goes on from it: that is
the ending of its group then. Groups stay in order by themselves, since whatever reads a value has
its place before its maker gets one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from tensorgraph.program import Call, Value
from tensorgraph_cupy.plan.chains import SUMS, Group, are_moments, summable

MOST = 24  # values that one kernel reads or writes, and calls in a chain: registers are finite


class Grouped:
    """Calls that run together; ``group`` is None for one that is no chain's.

    terms  the values that calls before the end of a sum read, whoever makes them
    ends   the calls that go on from sums; ``of_ends`` is what these read
    awaited  whether other groups read what they make; if not, they run with all that is last
    """

    def __init__(self, call: Call, group: Group | None) -> None:
        self.calls = [call]  # the last one first
        self.group = group
        self.terms = set(call.inputs)
        self.ends: list[Call] = []
        self.of_ends: set[Value] = set()
        self.awaited = False
        self.moments = False  # mean and variance at once: what they are of has to lie in memory

    @property
    def reads(self) -> set[Value]:
        return self.terms | self.of_ends

    def takes(self, call: Call, group: Group, *, feeds: bool) -> bool:
        """Whether a call may join that comes before all of these; ``feeds``: they read its
        result."""
        many = len(self.reads | set(call.inputs)) > MOST or len(self.calls) >= 4 * MOST
        if self.group is None or many or self.moments:
            return False
        if not feeds:
            return self._beside(call, group)
        if self._only_for_ends(call):
            if group.kept is not None:
                return self._beside(call, group)
            return _ending(group.shape, [*self.ends, call], [call.out])
        if call.out in self.of_ends:
            return False
        if group.kept is None:
            return self._beside(call, group)
        return self._goes_on_from(call, group) or self.are_moments(call)

    def _beside(self, call: Call, group: Group) -> bool:
        """Whether it goes through the same space, and is summed up with the others."""
        assert self.group is not None
        mine, kept = self.group, group.kept or self.group.kept
        if mine.shape != group.shape or (group.kept and mine.kept not in (None, group.kept)):
            return False
        return kept is None or summable(mine.shape, self.terms | set(call.inputs), kept)

    def _only_for_ends(self, call: Call) -> bool:
        return call.out in self.of_ends and call.out not in self.terms

    def _goes_on_from(self, call: Call, group: Group) -> bool:
        """Whether all of these go on from a sum, each with what is left in its own place."""
        assert self.group is not None and group.kept is not None
        if not self.awaited or self.group.kept is not None or group.kept == group.shape:
            return False
        return _ending(self.group.shape, self.calls, [call.out])

    def are_moments(self, call: Call) -> bool:
        """Whether it is the mean of that of which there is the variance, and nothing else."""
        summing = [each for each in self.calls if each not in self.ends]
        return len(summing) == 1 and are_moments(call, summing[0])

    def add(self, call: Call, group: Group) -> None:
        assert self.group is not None
        if self._only_for_ends(call) and group.kept is None:
            self.ends.append(call)
            self.of_ends.update(call.inputs)
        elif group.kept is not None and call.out in self.terms and not self.are_moments(call):
            self.ends, self.of_ends = list(self.calls), self.terms
            self.terms, self.group = set(call.inputs), group
        else:
            self.moments = self.are_moments(call)
            self.terms.update(call.inputs)
            self.group = group if group.kept is not None else self.group
        self.calls.append(call)


def _ending(shape: tuple[int, ...], calls: Sequence[Call], sums: Sequence[Value]) -> bool:
    """Whether these calls can go on from sums: one place knows nothing of the others."""
    whole, made = math.prod(shape), {call.out for call in calls}
    read = {x for call in calls for x in call.inputs} - made
    return all(x.spec.size in (1, whole) for x in (*read, *sums)) and all(
        call.out.spec.size == whole for call in calls
    )


def grouped(
    calls: Sequence[Call],
    group_of: Callable[[Call], Group | None],
    roots: Mapping[Value, Value],
) -> list[list[Call]]:
    """The calls in groups, in the order in which these run. ``roots``: views → whose memory it
    is; calls that only make views are left out."""
    made: list[Grouped] = []  # the last to run first
    readers: dict[Value, set[int]] = {}  # value → numbers of the groups that read it
    for call in reversed(_sums_first(calls, roots)):
        if call.out in roots:
            continue
        group = group_of(call)
        first = max(readers.get(call.out, ()), default=-1)
        place = None
        if group is not None:
            place = _place(made, call, group, first, roots)
        if place is None:
            place = len(made)
            made.append(Grouped(call, group))
        else:
            assert group is not None
            made[place].add(call, group)
        made[place].awaited |= bool(readers.get(call.out, set()) - {place})
        for x in call.inputs:
            readers.setdefault(roots.get(x, x), set()).add(place)
    return [list(reversed(each.calls)) for each in reversed(made)]


def _sums_first(calls: Sequence[Call], roots: Mapping[Value, Value]) -> list[Call]:
    """The calls, with each sum right behind what it needs."""
    places: dict[Value, int] = {}  # results → where they are made
    for i, call in enumerate(calls):
        needed = [places.get(roots.get(x, x), -1) for x in call.inputs]
        places[call.out] = max(needed) if call.op.name in SUMS else i
    return sorted(calls, key=lambda call: places[call.out])


def _place(
    made: Sequence[Grouped], call: Call, group: Group, first: int, roots: Mapping[Value, Value]
) -> int | None:
    """The number of the group that the call joins. None that reads a view of its result, too: what
    a view shows has to lie in memory before."""
    if first >= 0 and call.out in made[first].reads:
        viewed = any(roots.get(x) is call.out for x in made[first].reads)
        if not viewed and made[first].takes(call, group, feeds=True):
            return first
    if call.op.name not in SUMS:
        return None
    for number in range(len(made) - 1, first, -1):  # beside another sum of the same values
        each = made[number]
        if (
            each.group is not None
            and each.group.kept is not None
            and each.terms & set(call.inputs)
            and each.takes(call, group, feeds=False)
        ):
            return number
    return None
