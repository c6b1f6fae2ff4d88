"""Where the taps of a filter meet an image along one axis, without padding: spans of outputs that
have the same taps inside the image, so that what lies outside is never read nor multiplied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


class Axis(NamedTuple):
    """A convolution along one axis: `size` elements, `k` taps, `out` results. Result o is the sum
    over taps t of element o * stride + t * dilation - before times weight t."""

    size: int
    k: int
    out: int
    stride: int
    dilation: int
    before: int


class Span(NamedTuple):
    """Results first, first + step, … that share their taps. Result i reads the
    elements begin + i * move + t * spread for t < taps, with the weights at tap + t * tap_step."""

    first: int
    step: int
    results: int
    begin: int
    move: int
    spread: int
    tap: int
    taps: int
    tap_step: int = 1


def forward(axis: Axis) -> list[Span]:
    """Spans of a convolution's outputs."""

    def inside(o: int) -> tuple[int, int]:
        """The first tap inside the image, and the one after the last."""
        start = o * axis.stride - axis.before
        low = max(0, -(start // axis.dilation))
        high = min(axis.k, (axis.size - 1 - start) // axis.dilation + 1)
        return (low, high) if low < high else (0, 0)

    out = []
    for (low, high), group in groupby(range(axis.out), inside):
        found = list(group)
        begin = found[0] * axis.stride - axis.before + low * axis.dilation
        out.append(
            Span(found[0], 1, len(found), begin, axis.stride, axis.dilation, low, high - low)
        )
    return out


def clipped(span: Span, low: int, high: int) -> Span:
    """What of a span of neighbouring results lies from `low` to before `high`; perhaps none."""
    first = max(span.first, low)
    results = max(0, min(span.first + span.results, high) - first)
    begin = span.begin + (first - span.first) * span.move
    return span._replace(first=first, results=results, begin=begin)


class Taps(NamedTuple):
    """Taps that meet the same elements of a strided image: `taps` of them, `step` apart, and the
    position of the last, which comes first, in the order of `prepared`."""

    residue: int
    last: int
    step: int
    taps: int
    place: int


def tap_classes(axis: Axis) -> list[Taps]:
    """The taps by what is left of tap * dilation on division by the stride: elements of the image
    where (element + before) leaves as much are made by these taps alone."""
    out, place = [], 0
    for residue in range(axis.stride):
        taps = [t for t in range(axis.k) if t * axis.dilation % axis.stride == residue]
        step = axis.stride // math.gcd(axis.stride, axis.dilation)
        out.append(Taps(residue, taps[-1] if taps else 0, step, len(taps), place))
        place += len(taps)
    return out


def backward(axis: Axis, prepared: bool) -> list[Span]:
    """Spans of the gradient in the image, with gradients of the outputs as elements. The taps of a
    class are walked from the last to the first, for the elements go upwards then. `prepared`: tap
    positions are those in prepared weights."""
    spread = axis.dilation // math.gcd(axis.stride, axis.dilation)
    spans = []
    for taps in tap_classes(axis):
        first = (taps.residue - axis.before) % axis.stride
        count = len(range(first, axis.size, axis.stride))
        if not count:
            continue
        turn = (first + axis.before - taps.residue) // axis.stride
        ahead = (taps.last * axis.dilation - taps.residue) // axis.stride if taps.taps else 0
        plain = Axis(axis.out, taps.taps, count, 1, spread, ahead - turn)
        for span in forward(plain):
            position = span.tap + taps.place if prepared else taps.last - span.tap * taps.step
            spans.append(
                span._replace(
                    first=first + span.first * axis.stride, step=axis.stride,
                    tap=position, tap_step=1 if prepared else -taps.step,
                )
            )  # fmt: skip
    return spans


class Geometry(NamedTuple):
    """A convolution of images with three spatial axes, some of them of size 1."""

    axes: tuple[Axis, Axis, Axis]
    samples: int
    channels: int  # of x, in all
    filters: int  # of y, in all
    groups: int

    @property
    def group_channels(self) -> int:
        return self.channels // self.groups

    @property
    def group_filters(self) -> int:
        return self.filters // self.groups

    @property
    def lanewise(self) -> bool:
        """One channel and one filter in each group: products of lanes, not of matrices."""
        return self.groups > 1 and self.channels == self.filters == self.groups


def geometry(
    name: str, x: Any, w: Any, y: Any, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Geometry:
    """What the shapes say; a ValueError where they or the layouts do not fit."""
    n = x.ndim - 2
    fits = 1 <= n <= 3 and w.ndim == y.ndim == n + 2 and {len(stride), len(dilation)} == {n}
    fits = fits and len(padding) == n and groups > 0
    if fits:
        fits = (
            (y.shape[0], y.shape[1], x.shape[1]) == (x.shape[0], w.shape[0], groups * w.shape[1])
            and w.shape[0] % groups == 0
            and len({x.dtype, w.dtype, y.dtype}) == 1
        )
        for size, k, out, s, pad, d in zip(
            x.shape[2:], w.shape[2:], y.shape[2:], stride, padding, dilation
        ):
            room = size + sum(pad) - (k - 1) * d - 1
            fits = fits and min(pad) >= 0 and s > 0 and d > 0 and out == room // s + 1
    if not fits:
        arrays = ", ".join(f"{z.dtype}{list(z.shape)}" for z in (x, w, y))
        raise ValueError(
            f"{name}: {arrays} are no x, w and y of a convolution with stride={stride}, "
            f"padding={padding}, dilation={dilation}, groups={groups}"
        )
    axes = [
        Axis(size, k, out, s, d, pad[0])
        for size, k, out, s, d, pad in zip(
            x.shape[2:], w.shape[2:], y.shape[2:], stride, dilation, padding
        )
    ]
    axes = [Axis(1, 1, 1, 1, 1, 0)] * (3 - n) + axes
    return Geometry((axes[0], axes[1], axes[2]), len(x), x.shape[1], w.shape[0], groups)


def channels_last(name: str, x: Any) -> Any:
    """Images (N, C, spatial…), each sample dense, as an array (N, d, h, w, C) over their memory."""
    view = np.moveaxis(x, 1, -1)
    dense = [x.itemsize]
    for size in reversed(view.shape[2:]):
        dense.append(dense[-1] * size)
    wanted = list(reversed(dense))
    if any(n > 1 and s != t for n, s, t in zip(view.shape[1:], view.strides[1:], wanted)):
        raise ValueError(
            f"{name}: images must be dense with their channels last, and those of shape {x.shape} "
            f"have strides {x.strides}"
        )
    return with_axes(view, 1)


def filters_last(name: str, w: Any) -> Any:
    """Weights (F, C, taps…) as an array (d, h, w, C, F) over the same memory, which is dense."""
    view = np.moveaxis(w, (1, 0), (-2, -1))
    if not view.flags.c_contiguous:
        raise ValueError(
            f"{name}: weights must be dense with their filters last, and those of shape {w.shape} "
            f"have strides {w.strides}"
        )
    return with_axes(view, 0)


def with_axes(view: Any, before: int) -> Any:
    """An array with axes of size 1 put in at `before`, to have three where there were fewer."""
    return view[(slice(None),) * before + (None,) * (5 - view.ndim)]


def dense_strides(shape: Sequence[int], size: int) -> Ints:
    """Strides of an array in C order whose innermost elements are `size` bytes apart."""
    out = [size]
    for n in reversed(shape[1:]):
        out.append(out[-1] * n)
    return tuple(reversed(out))


def spatial_strides(images: Any) -> tuple[int, int, int]:
    """Bytes along the axes d, h and w of images (N, d, h, w, C)."""
    d, h, w, _ = dense_strides(images.shape[1:], images.itemsize)
    return d, h, w
