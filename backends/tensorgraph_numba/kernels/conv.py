"""Convolutions of any stride, padding, dilation and groups, and their gradient in the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..native import Call
from .choice import CACHE, PANEL, Block
from .correlate import Correlation, Images, Sizes, Weights, columns_of
from .pack import copy_rows, transpose_matrix
from .program import Loop, Place, Program
from .spans import (
    Geometry,
    Ints,
    Pairs,
    Taps,
    backward,
    channels_last,
    dense_strides,
    filters_last,
    forward,
    geometry,
    spatial_strides,
    tap_classes,
)

Scratch = Callable[[int], Any]


def conv(
    x: Any, w: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    bias: Any = None, prepared: Any = None, scratch: Scratch | None = None,
) -> list[Call]:  # fmt: skip
    """Calls for y = convolution of x with w, plus the bias (F,) if there is one.

    ``x`` (N, C, spatial…) and ``y`` (N, F, spatial…): dense samples, channels last; ``w``
    (F, C / groups, taps…): dense, filters last; one to three spatial axes. ``prepared``: what
    ``conv_weights`` made of w. Raises ValueError where shapes or layouts do not fit.
    """
    shape = geometry("conv", x, w, y, stride, padding, dilation, groups)
    if bias is not None and (bias.shape != w.shape[:1] or not bias.flags.c_contiguous):
        raise ValueError(f"conv: a bias of shape {bias.shape} does not fit {w.shape[0]} filters")
    kept = [z for z in (x, w, y, bias, prepared) if z is not None]
    if prepared is None:
        weights = _in_place(shape, filters_last("conv", w))
    else:
        weights = _in_panels(shape, prepared, _cut(shape, str(w.dtype)), shape.group_channels)
    spans = [forward(axis) for axis in shape.axes]
    first = 0 if bias is None else int(bias.ctypes.data)
    return _correlate(
        "conv", shape, x, weights, y, spans, (shape.channels, shape.filters), first, kept
    )


def conv_input(
    y: Any, w: Any, x: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    prepared: Any = None, scratch: Scratch | None = None,
) -> list[Call]:  # fmt: skip
    """Calls for the gradient x in the image, from the gradient y of a convolution with w; layouts
    as for ``conv``. ``prepared``: what ``conv_input_weights`` made of w; needed where
    ``conv_input_count`` is not 0."""
    shape = geometry("conv_input", x, w, y, stride, padding, dilation, groups)
    if shape.lanewise:
        weights = _in_place(shape, filters_last("conv_input", w))
    elif prepared is None:
        raise ValueError("conv_input: takes weights prepared by conv_input_weights")
    else:
        weights = _in_panels(shape, prepared, _cut(shape, str(w.dtype), True), shape.group_filters)
    spans = [backward(axis, not shape.lanewise) for axis in shape.axes]
    kept = [z for z in (x, w, y, prepared) if z is not None]
    return _correlate(
        "conv_input", shape, y, weights, x, spans, (shape.filters, shape.channels), 0, kept
    )


def conv_count(
    x: Any, w: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> int:
    """Elements of the weights prepared for ``conv``; 0 where they are best used as they are."""
    shape = geometry("conv", x, w, y, stride, padding, dilation, groups)
    if shape.lanewise or w.nbytes <= PANEL or shape.group_filters * w.itemsize < 1024:
        return 0
    return _panels_count(shape, _cut(shape, str(w.dtype)), shape.group_channels)


def conv_input_count(
    x: Any, w: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> int:
    """Elements of the weights prepared for ``conv_input``; 0 where they are used as they are."""
    shape = geometry("conv_input", x, w, y, stride, padding, dilation, groups)
    if shape.lanewise:
        return 0
    return _panels_count(shape, _cut(shape, str(w.dtype), True), shape.group_filters)


def conv_weights(
    x: Any, w: Any, y: Any, prepared: Any, *, stride: Ints, padding: Pairs, dilation: Ints,
    groups: int, part: tuple[int, int] = (0, 1),
) -> list[Call]:  # fmt: skip
    """Calls that prepare w for ``conv``: blocks of columns one after the other. ``part``: (t, n) of
    n threads, each doing a share. Of ``x`` and ``y`` only the shapes are looked at."""
    shape = geometry("conv_weights", x, w, y, stride, padding, dilation, groups)
    view, cut = filters_last("conv_weights", w), _cut(shape, str(w.dtype))
    weights, size = _in_panels(shape, prepared, cut, shape.group_channels), w.itemsize
    program = Program(str(w.dtype), 1, (w, prepared))
    taps, channels = math.prod(view.shape[:3]), shape.group_channels
    first, last = _share(channels, part)
    for block, begin, taps_strides, row in zip(cut, weights.first, weights.taps, weights.channel):
        source = view.ctypes.data + first * view.strides[3] + block.first * size
        loops = [
            Loop(groups, shape.group_filters * size, 0, weights.group),
            Loop(taps, channels * shape.filters * size, 0, taps_strides[2]),
        ]
        words = (last - first, block.columns, shape.filters, block.width)
        program.step(copy_rows, Place(source, 0, begin + first * row), words, loops)
    return program.calls() if last > first else []


def conv_input_weights(
    x: Any, w: Any, y: Any, prepared: Any, *, stride: Ints, padding: Pairs, dilation: Ints,
    groups: int, part: tuple[int, int] = (0, 1),
) -> list[Call]:  # fmt: skip
    """Calls that prepare w for ``conv_input``: channels as columns, the taps that make the same
    elements together, from the last to the first. ``part`` as for ``conv_weights``."""
    shape = geometry("conv_input_weights", x, w, y, stride, padding, dilation, groups)
    view, cut = filters_last("conv_input_weights", w), _cut(shape, str(w.dtype), True)
    weights, size = _in_panels(shape, prepared, cut, shape.group_filters), w.itemsize
    program = Program(str(w.dtype), 1, (w, prepared))
    first, last = _share(shape.group_filters, part)
    classes = [[taps for taps in tap_classes(axis) if taps.taps] for axis in shape.axes]
    strides = dense_strides(view.shape, size)
    for block, begin, steps, row in zip(cut, weights.first, weights.taps, weights.channel):
        words = (block.columns, last - first, shape.filters, 1, block.width, 1, 0)
        for combination in _products(classes):
            a = view.ctypes.data + first * size + block.first * strides[3]
            c = begin + first * row
            loops = [Loop(groups, shape.group_filters * size, 0, weights.group)]
            for taps, from_axis, to_axis in zip(combination, strides, steps):
                a, c = a + taps.last * from_axis, c + taps.place * to_axis
                loops.append(Loop(taps.taps, -taps.step * from_axis, 0, to_axis))
            program.step(transpose_matrix, Place(a, 0, c), words, loops)
    return program.calls() if last > first else []


def _products(classes: Sequence[Sequence[Taps]]) -> list[tuple[Taps, ...]]:
    return [(a, b, c) for a in classes[0] for b in classes[1] for c in classes[2]]


def _share(rows: int, part: tuple[int, int]) -> tuple[int, int]:
    """This thread's rows, in multiples of 16."""
    each = -(-rows // (16 * part[1])) * 16
    return min(rows, part[0] * each), min(rows, (part[0] + 1) * each)


def _cut(shape: Geometry, dtype: str, backwards: bool = False) -> tuple[Block, ...]:
    """The blocks of columns; by the sizes of the weights alone, the same for all pieces."""
    taps = math.prod(axis.k for axis in shape.axes)
    if shape.lanewise:
        return columns_of(shape.channels, taps, dtype, True)
    if backwards:
        return columns_of(shape.group_channels, taps * shape.group_filters, dtype)
    return columns_of(shape.group_filters, taps * shape.group_channels, dtype)


def _in_place(shape: Geometry, w: Any) -> Weights:
    """Weights (d, h, w, C, F) as they are."""
    size = w.itemsize
    strides = dense_strides(w.shape, size)
    cut = _cut(shape, str(w.dtype))
    n = len(cut)
    first = tuple(int(w.ctypes.data) + block.first * size for block in cut)
    taps = (strides[0], strides[1], strides[2])
    return Weights(first, (taps,) * n, (strides[3],) * n, shape.group_filters * size)


def _panels_count(shape: Geometry, cut: Sequence[Block], rows: int) -> int:
    taps = math.prod(axis.k for axis in shape.axes)
    return shape.groups * taps * rows * sum(block.width for block in cut)


def _in_panels(shape: Geometry, prepared: Any, cut: Sequence[Block], rows: int) -> Weights:
    """Prepared weights: for each group and block of columns (d, h, w, rows, width)."""
    count, size = _panels_count(shape, cut, rows), prepared.itemsize
    if prepared.ndim != 1 or prepared.size < count or not prepared.flags.c_contiguous:
        raise ValueError(
            f"conv: prepared weights have {count} elements in one row, not shape {prepared.shape}"
        )
    k = [axis.k for axis in shape.axes]
    first, taps, channel, at = [], [], [], int(prepared.ctypes.data)
    for block in cut:
        d, h, w, row, _ = dense_strides((*k, rows, block.width), size)
        first.append(at)
        taps.append((d, h, w))
        channel.append(row)
        at += k[0] * d
    return Weights(tuple(first), tuple(taps), tuple(channel), at - int(prepared.ctypes.data))


def _correlate(
    name: str, shape: Geometry, x: Any, weights: Weights, y: Any, spans: Sequence[Any],
    channels: tuple[int, int], bias: int, kept: Sequence[Any],
) -> list[Call]:  # fmt: skip
    """The calls, as many samples at a time as stay in the cache."""
    dtype, size = str(x.dtype), x.itemsize
    if not y.size:
        return []
    views = [channels_last(name, z) for z in (x, y)]
    cut = _cut(shape, dtype, name == "conv_input")
    each = sum(math.prod(view.shape[1:]) for view in views) * size
    at_once = max(1, min(shape.samples, CACHE // 2 // each))
    calls = []
    for first, turns, samples in turns_of(shape.samples, at_once):
        images = [
            Images(
                int(view.ctypes.data) + first * view.strides[0], view.strides[0],
                spatial_strides(view), size,
            )
            for view in views
        ]  # fmt: skip
        groups = 1 if shape.lanewise else shape.groups
        sizes = Sizes(samples, groups, channels[0] // groups, channels[1] // groups, shape.lanewise)
        program = Program(dtype, turns, kept)
        work = Correlation(program, images[0], weights, images[1], sizes, cut, bias)
        work.write(spans, Place(samples * images[0].sample, 0, samples * images[1].sample))
        calls += program.calls()
    return calls


def turns_of(samples: int, at_once: int) -> list[tuple[int, int, int]]:
    """First sample, turns, and samples in each: equal turns, and a rest."""
    turns, rest = divmod(samples, at_once)
    out = [(0, turns, at_once)] if turns else []
    return [*out, (turns * at_once, 1, rest)] if rest else out
