"""The kernels of Winograd's 3x3 convolutions. What their words are, `winograd_stages` says; what
the numbers at the end are, each kernel."""

from __future__ import annotations

from typing import Any

from tensorgraph_numba.kernels.winograd_stages import (
    NUMBERS,
    D,
    U,
    V,
    W,
    accumulate,
    clear,
    collect_output,
    collect_weights,
    multiply,
    panel_width,
    spread_gradient,
    spread_input,
    transform_weights,
)
from tensorgraph_numba.kernels.winograd_transforms import lanes
from tensorgraph_numba.late import int64
from tensorgraph_numba.native import kernel


@kernel
def weigh(a: Any, like: Any) -> None:
    """A share of the weights to U, a group for each panel of output channels."""
    begin, end, depth = a[NUMBERS], a[NUMBERS + 1], a[NUMBERS + 2]
    block = lanes(like)
    blocks = (depth + block - 1) // block
    for i in range(begin, end):
        panel, first = i // blocks, i % blocks * block
        shift = panel * a[U + 4] + first * a[U + 2]
        transform_weights(a, panel, first, min(depth, first + block), shift, like)


@kernel
def by_tiles(a: Any, like: Any) -> None:
    """The convolution of X with transformed weights, block after block of tiles."""
    total, block = a[NUMBERS], a[NUMBERS + 1]
    channels, filters = a[NUMBERS + 2], a[NUMBERS + 3]
    width, zero = panel_width(like), int64(0)
    clear(a, like)
    for first in range(0, total, block):
        count = min(block, total - first)
        spread_input(a, first, count, channels, like)
        for k in range(0, filters, width):
            some = min(width, filters - k)
            multiply(a, zero, zero, count, k // width, channels, some, zero, like)
            collect_output(a, first, count, k, some, like)


@kernel
def spread_x(a: Any, like: Any) -> None:
    """All tiles of X to V."""
    clear(a, like)
    spread_input(a, int64(0), a[NUMBERS], a[NUMBERS + 1], like)


@kernel
def spread_y(a: Any, like: Any) -> None:
    """All tiles of Y, a gradient, to D."""
    clear(a, like)
    spread_gradient(a, int64(0), a[NUMBERS], a[NUMBERS + 1], like)


@kernel
def by_channels(a: Any, like: Any) -> None:
    """The convolution of V with weights, which are transformed on the way, for a share of the
    panels of output channels."""
    total, block = a[NUMBERS], a[NUMBERS + 1]
    channels, filters = a[NUMBERS + 2], a[NUMBERS + 3]
    depth, width, zero = a[V + 5], panel_width(like), int64(0)
    for panel in range(a[NUMBERS + 4], a[NUMBERS + 5]):
        k = panel * width
        some = min(width, filters - k)
        for first in range(0, total, block):
            count = min(block, total - first)
            for c in range(0, channels, depth):
                last = min(channels, c + depth)
                transform_weights(a, panel, c, last, zero, like)
                multiply(a, c // depth, first, count, zero, last - c, some, c, like)
            collect_output(a, first, count, k, some, like)


@kernel
def gradient_by_tiles(a: Any, like: Any) -> None:
    """The gradient of U, summed over the tiles of X and Y, block after block."""
    total, block = a[NUMBERS], a[NUMBERS + 1]
    channels, filters, add = a[NUMBERS + 2], a[NUMBERS + 3], a[NUMBERS + 4]
    zero = int64(0)
    clear(a, like)
    for first in range(0, total, block):
        count = min(block, total - first)
        spread_input(a, first, count, channels, like)
        spread_gradient(a, first, count, filters, like)
        accumulate(a, zero, channels, zero, filters, zero, count, add | first, like)


@kernel
def unweigh(a: Any, like: Any) -> None:
    """The gradient of a share of the weights: those of some input channels."""
    first, last, add = a[NUMBERS], a[NUMBERS + 1], a[NUMBERS + 2]
    collect_weights(a, first, last, int64(0), a[W + 3], add, like)


@kernel
def gradient_by_channels(a: Any, like: Any) -> None:
    """The gradient of weights from V and D, for a share of the panels of filters, groups of D."""
    total, block, add = a[NUMBERS], a[NUMBERS + 1], a[NUMBERS + 2]
    channels, filters, depth, width = a[W + 2], a[W + 3], a[V + 5], a[D + 5]
    for panel in range(a[NUMBERS + 3], a[NUMBERS + 4]):
        k = panel * width
        some = min(width, filters - k)
        for c in range(0, channels, depth):
            last = min(channels, c + depth)
            for first in range(0, total, block):
                count = min(block, total - first)
                accumulate(a, c // depth, last - c, panel, some, first, count, first, like)
            collect_weights(a, c, last, k, some, add, like)
