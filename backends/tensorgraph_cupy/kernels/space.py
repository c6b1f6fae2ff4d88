"""The space of a chain, found from the shapes of arrays that broadcast: which axes are one, along
which each operand moves, and which are reduced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Ints = tuple[int, ...]


def order_of(axes: int) -> Ints:
    """The axes in the order of memory, which is channels last: (N, C, spatial…) lies as
    (N, spatial…, C)."""
    return (0, *range(2, axes), 1) if axes > 2 else tuple(range(axes))


class Space(NamedTuple):
    """The sizes of its axes, in the order of memory; along which each operand moves; which of the
    axes are kept."""

    sizes: Ints
    moves: tuple[tuple[bool, ...], ...]
    kept: tuple[bool, ...]

    def for_reduction(self) -> Space | None:
        """The same as two axes with the last reduced, or three with the middle one; None where it
        is neither."""
        space = self
        if all(space.kept):  # what is reduced has size 1
            space = space.with_one(len(space.kept) - 1, kept=False)
        if not space.kept[0]:
            space = space.with_one(0, kept=True)
        return space if space.kept in ((True, False), (True, False, True)) else None

    def with_one(self, at: int, *, kept: bool) -> Space:
        """An axis of size 1 put in."""
        sizes = (*self.sizes[:at], 1, *self.sizes[at:])
        moves = tuple((*own[:at], False, *own[at:]) for own in self.moves)
        return Space(sizes, moves, (*self.kept[:at], kept, *self.kept[at:]))


def spanned(shape: Ints, operands: Sequence[Ints], kept: Ints | None = None) -> Space:
    """The space of ``shape``, over which these operands broadcast; ``kept`` has size 1 along the
    axes to reduce."""
    n = len(shape)
    wide = [(1,) * (n - len(own)) + own for own in operands]
    axes: list[tuple[int, tuple[bool, ...], bool]] = []
    for axis in order_of(n):
        if shape[axis] == 1:
            continue
        moves = tuple(own[axis] != 1 for own in wide)
        stays = kept is None or ((1,) * (n - len(kept)) + kept)[axis] != 1
        if axes and axes[-1][1:] == (moves, stays):
            axes[-1] = (axes[-1][0] * shape[axis], moves, stays)
        else:
            axes.append((shape[axis], moves, stays))
    if not axes:
        axes = [(math.prod(shape), (False,) * len(wide), kept is None)]
    by_operand = tuple(tuple(axis[1][i] for axis in axes) for i in range(len(wide)))
    return Space(tuple(a[0] for a in axes), by_operand, tuple(a[2] for a in axes))
