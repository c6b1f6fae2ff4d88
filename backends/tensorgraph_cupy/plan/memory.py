"""Offsets in one block of memory for values that are not needed at the same time."""

from __future__ import annotations

from collections.abc import Sequence

ALIGNMENT = 256  # bytes: of any dtype, and what libraries' fastest algorithms ask for


class Interval:
    """From when to when a value is needed, and how many bytes it takes."""

    def __init__(self, size: int, first: int, last: int) -> None:
        self.size = aligned(size)
        self.first, self.last = first, last
        self.offset = 0


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def packed(intervals: Sequence[Interval]) -> int:
    """Give those that overlap in time different offsets; returns the size of the whole.

    The largest come first, each at the lowest place that is free all the time that it is needed.
    """
    placed: list[Interval] = []
    total = 0
    for x in sorted(intervals, key=lambda x: (-x.size, x.first)):
        busy = sorted(
            (y.offset, y.offset + y.size) for y in placed if y.first <= x.last and x.first <= y.last
        )
        offset = 0
        for begin, end in busy:
            if offset + x.size <= begin:
                break
            offset = max(offset, end)
        x.offset = offset
        total = max(total, offset + x.size)
        placed.append(x)
    return total
