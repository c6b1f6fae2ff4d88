"""What a convolution is: sizes, geometry, precision, and how its three tensors lie in memory."""

from __future__ import annotations

import math
from typing import NamedTuple

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


class Convolution(NamedTuple):
    """One of the three maps between images x, filters w and outputs y: all that a plan depends on.

    ``kind`` says which of them is computed: "y", "x" (the gradient of the images) or "w" (the
    gradient of the filters). All memory is channels-last: x (N, …, C), w (F, …, C/groups),
    y (N, …, F).
    """

    kind: str
    images: int
    channels: int
    filters: int
    size: Ints
    kernel: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints
    groups: int = 1
    dtype: str = "float32"  # of all three, and of the bias; sums are float32
    arithmetic: str = "float32"  # or "tf32", or "strict": no transforms that round more
    epilogue: str = "none"  # "bias" or "bias_relu", of y

    @property
    def reach(self) -> Ints:
        """The sizes of the output."""
        each = zip(self.size, self.kernel, self.stride, self.padding, self.dilation)
        return tuple((n + sum(p) - (k - 1) * d - 1) // s + 1 for n, k, s, p, d in each)

    def shapes(self) -> dict[str, Ints]:
        """The logical shapes (N, C, …) of the three."""
        return {
            "x": (self.images, self.channels, *self.size),
            "w": (self.filters, self.channels // self.groups, *self.kernel),
            "y": (self.images, self.filters, *self.reach),
        }

    def is_product(self) -> bool:
        """Whether filters of one element slide over every pixel: then it is a matrix product."""
        return (
            self.groups == 1
            and set(self.kernel) == {1}
            and set(self.stride) == {1}
            and not any(map(any, self.padding))
        )

    def lifted(self) -> Convolution:
        """The same with at least two spatial axes: the libraries have none with one."""
        if len(self.size) > 1:
            return self
        return self._replace(
            size=(1, *self.size),
            kernel=(1, *self.kernel),
            stride=(1, *self.stride),
            padding=((0, 0), *self.padding),
            dilation=(1, *self.dilation),
        )


def channels_last(shape: Ints) -> Ints:
    """The strides, in elements, of a logical (N, C, …) whose memory is (N, …, C)."""
    channels, spatial = shape[1], shape[2:]
    along = [channels * math.prod(spatial[axis + 1 :]) for axis in range(len(spatial))]
    return (channels * math.prod(spatial), 1, *along)
