"""How arrays lie in the space that a chain runs through: which are contiguous, which repeat.

The space is the shape that all arrays broadcast to, its axes sorted by the strides of one array,
the leader. A position is the number of an element in that order. Where an array has it is told by
``axes``: pairs of an extent and a stride in elements, the outermost first, merged where possible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Axes = tuple[tuple[int, int], ...]

LONG = 512  # elements; an array that is contiguous over fewer is copied, not run through directly
SHORT_PERIOD = 1024  # elements; a row that repeats is written out once for each run of the kernel
LONGEST_PERIOD = 8192  # if it is not longer, or not longer than this and repeats often
OFTEN = 8


class Place(NamedTuple):
    """Where an array has the elements of the space, and what kind of pattern that is:

    "constant": one number; "periodic": a row of ``length`` numbers, over and over;
    "direct": contiguous over runs of ``length``; "spread": anything else.
    """

    kind: str
    length: int
    axes: Axes


CONSTANT = Place("constant", 0, ((2**62, 0),))  # at whatever position


def merged(shape: Sequence[int], strides: Sequence[int]) -> Axes:
    """Axes of extent 1 dropped, neighbours that are one axis joined; at least one axis."""
    axes: list[tuple[int, int]] = []
    for extent, stride in zip(shape, strides):
        if extent == 1:
            continue
        if axes and axes[-1][1] == extent * stride:
            axes[-1] = (axes[-1][0] * extent, stride)
        else:
            axes.append((extent, stride))
    return tuple(axes) or ((1, 0),)


def classified(axes: Axes, total: int) -> Place:
    """The kind of pattern."""
    extent, stride = axes[-1]
    if stride == 0 and len(axes) == 1:
        return CONSTANT
    longest = LONGEST_PERIOD if total >= OFTEN * extent else SHORT_PERIOD
    if stride == 1 and len(axes) == 2 and axes[0][1] == 0 and extent <= longest:
        return Place("periodic", extent, axes)
    if stride == 1 and (len(axes) == 1 or extent >= min(total, LONG)):
        return Place("direct", extent, axes)
    return Place("spread", 0, axes)


class Space:
    """The shape that arrays broadcast to, in the order of the leader's memory."""

    def __init__(self, arrays: Sequence[Any], leader: Any) -> None:
        self.shape = np.broadcast_shapes(*(x.shape for x in arrays))
        self.total = math.prod(self.shape)
        strides = np.broadcast_to(leader, self.shape).strides
        self.order = sorted(range(len(self.shape)), key=lambda axis: -strides[axis])

    def place(self, x: Any) -> Place:
        """Where an array that broadcasts to the space has its elements."""
        elements_apart(x)
        try:
            strides = np.broadcast_to(x, self.shape).strides
        except ValueError:
            raise ValueError(
                f"a chain over {self.shape} has no use for an array of the shape {x.shape}: give "
                "one that broadcasts to it"
            ) from None
        if not self.total:
            return CONSTANT
        axes = merged(
            [self.shape[axis] for axis in self.order],
            [strides[axis] // x.itemsize for axis in self.order],
        )
        return classified(axes, self.total)

    def written(self, x: Any) -> Place:
        """The same of an array to be written, whose elements must be in places of their own."""
        check_apart(x)
        if x.shape != self.shape:
            raise ValueError(f"a chain over {self.shape} cannot write an array of {x.shape}")
        place = self.place(x)
        return Place("direct", 1, ((1, 1),)) if self.total <= 1 else place


def elements_apart(x: Any) -> list[int]:
    """Strides in elements."""
    if any(s % x.itemsize or s < 0 for s in x.strides):
        raise ValueError(f"a chain takes no array with the strides {x.strides}: copy it")
    return [s // x.itemsize for s in x.strides]


def check_apart(x: Any) -> None:
    """Refuse to write to an array some of whose elements are in the same place."""
    taken = 1 if x.size else 0
    for stride, extent in sorted(zip(elements_apart(x), x.shape)):
        if extent > 1 and stride < taken:
            raise ValueError(
                f"a chain cannot write to an array of the shape {x.shape} with the strides "
                f"{x.strides}: elements share places; give an array without that"
            )
        taken += max(extent - 1, 0) * stride


def described(axes: Axes) -> list[int]:
    """Axes as the kernel reads them: their number, then for each the positions that one step along
    it takes and its stride; for the last one its extent and stride."""
    words = [len(axes)]
    inner = math.prod(extent for extent, _ in axes)
    for extent, stride in axes[:-1]:
        inner //= extent
        words += [inner, stride]
    return [*words, *axes[-1]]


def same_place(x: Any, y: Any) -> bool:
    """Whether two arrays have the same elements at the same positions."""
    start = x.__array_interface__["data"][0] == y.__array_interface__["data"][0]
    return bool(start and x.shape == y.shape and x.strides == y.strides and x.dtype == y.dtype)


def overlap(x: Any, y: Any) -> bool:
    """Whether two arrays share memory; also where that cannot be told soon."""
    work: Any = 100_000
    try:
        return bool(np.shares_memory(x, y, max_work=work))
    except np.exceptions.TooHardError:
        return True
