"""Where the elements of a window or a filter meet the elements of an image, along one axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Axis(NamedTuple):
    """Windows of ``k`` elements, ``dilation`` apart, which begin ``stride`` apart, ``padding``
    before the first of ``size`` elements."""

    size: int
    k: int
    stride: int
    padding: int
    dilation: int

    def windows(self, after: int, ceil_mode: bool = False) -> int:
        """How many windows there are with ``after`` elements of padding behind the image.

        With ``ceil_mode`` the last may reach beyond that, if it begins inside or before the image.
        """
        room = self.size + self.padding + after - (self.k - 1) * self.dilation - 1
        if not ceil_mode:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - ((count - 1) * self.stride >= self.size + self.padding)

    def places(self, windows: range) -> Iterator[tuple[int, slice, slice]]:
        """For each element of a window: its number, the elements of the image that it meets, and
        in which of these windows, counted from the first of them."""
        for offset in range(self.k):
            start = offset * self.dilation - self.padding
            first = max(windows.start, -(start // self.stride))
            last = min(windows.stop, (self.size - 1 - start) // self.stride + 1)
            if first < last:
                begin, end = start + first * self.stride, start + (last - 1) * self.stride + 1
                at = slice(first - windows.start, last - windows.start)
                yield offset, slice(begin, end, self.stride), at
