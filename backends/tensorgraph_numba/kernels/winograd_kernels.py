"""The kernels of Winograd's 3x3 convolutions. What their words are, `winograd_stages` says; what
the numbers at the end are, each kernel."""

from __future__ import annotations

from typing import Any

from numba import int64

from ..native import kernel
from .winograd_stages import (
    NUMBERS,
    WORK,
    U,
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
from .winograd_transforms import lanes


@kernel
def weigh(a: Any, like: Any) -> None:
    """A share of the weights to U, a group of planes for each panel of output channels."""
    begin, end, depth = a[NUMBERS], a[NUMBERS + 1], a[NUMBERS + 2]
    group, block = a[WORK + 6] * a[WORK + 6] * a[U + 3], lanes(like)
    blocks = (depth + block - 1) // block
    for i in range(begin, end):
        panel, first = i // blocks, i % blocks * block
        shift = panel * group + first * a[U + 2]
        transform_weights(a, panel, first, min(depth, first + block), shift, like)


@kernel
def by_tiles(a: Any, like: Any) -> None:
    """The convolution of X with transformed weights, block after block of tiles."""
    total, block = a[NUMBERS], a[NUMBERS + 1]
    channels, filters = a[NUMBERS + 2], a[NUMBERS + 3]
    group, width = a[WORK + 6] * a[WORK + 6] * a[U + 3], panel_width(like)
    none = int64(0)
    clear(a, like)
    for first in range(0, total, block):
        count = min(block, total - first)
        spread_input(a, first, count, channels, like)
        for k in range(0, filters, width):
            some, shift = min(width, filters - k), k // width * group
            multiply(a, none, none, count, shift, channels, some, none, like)
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
    total, block, depth = a[NUMBERS], a[NUMBERS + 1], a[NUMBERS + 2]
    channels, filters, width = a[NUMBERS + 3], a[NUMBERS + 4], panel_width(like)
    none = int64(0)
    for panel in range(a[NUMBERS + 5], a[NUMBERS + 6]):
        k = panel * width
        some = min(width, filters - k)
        for first in range(0, total, block):
            count = min(block, total - first)
            for c in range(0, channels, depth):
                last = min(channels, c + depth)
                transform_weights(a, panel, c, last, none, like)
                multiply(a, first, c, count, none, last - c, some, c, like)
            collect_output(a, first, count, k, some, like)


@kernel
def gradient_by_tiles(a: Any, like: Any) -> None:
    """The gradient of U, summed over the tiles of X and Y, block after block."""
    total, block = a[NUMBERS], a[NUMBERS + 1]
    channels, filters, add = a[NUMBERS + 2], a[NUMBERS + 3], a[NUMBERS + 4]
    none = int64(0)
    clear(a, like)
    for first in range(0, total, block):
        count = min(block, total - first)
        spread_input(a, first, count, channels, like)
        spread_gradient(a, first, count, filters, like)
        accumulate(a, none, channels, none, filters, count, add | first, like)


@kernel
def unweigh(a: Any, like: Any) -> None:
    """The gradient of a share of the weights: those of some input channels."""
    first, last, add = a[NUMBERS], a[NUMBERS + 1], a[NUMBERS + 2]
    collect_weights(a, first, last, int64(0), a[W + 3], add, like)


@kernel
def gradient_by_channels(a: Any, like: Any) -> None:
    """The gradient of weights from V and D, for a share of the panels of filters."""
    total, depth, add = a[NUMBERS], a[NUMBERS + 1], a[NUMBERS + 2]
    channels, filters, width = a[W + 2], a[W + 3], panel_width(like)
    none = int64(0)
    for panel in range(a[NUMBERS + 3], a[NUMBERS + 4]):
        k = panel * width
        some = min(width, filters - k)
        for c in range(0, channels, depth):
            last = min(channels, c + depth)
            accumulate(a, c, last - c, k, k + some, total, none, like)
            collect_weights(a, c, last, k, some, add, like)
