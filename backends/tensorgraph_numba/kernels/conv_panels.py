"""The weights of a convolution as its tiles read them: as they are, or prepared once for many."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

from tensorgraph_numba.kernels.choice import PANEL, Block
from tensorgraph_numba.kernels.correlate import Weights, columns_of
from tensorgraph_numba.kernels.pack import copy_rows, transpose_matrix
from tensorgraph_numba.kernels.program import Loop, Place, Program
from tensorgraph_numba.kernels.spans import (
    Geometry,
    Ints,
    Pairs,
    dense_strides,
    filters_last,
    geometry,
    tap_classes,
)
from tensorgraph_numba.native import Call
from tensorgraph_numba.vector import unit

FEW = 8  # columns that may be dot products
ADDING = 8  # cycles to add the lanes of one


class Form(NamedTuple):
    """How the products of a convolution, or of its gradient in the image (`backwards`), are cut:
    which kind they are (see ``correlate.Sizes``), channels that are summed over and columns of
    results in each group, and blocks of columns. By the weights' sizes alone: the same for all
    pieces of a batch."""

    kind: str
    depth: int
    columns: int
    cut: tuple[Block, ...]

    @property
    def width(self) -> int:
        return sum(block.width for block in self.cut)


def form(shape: Geometry, dtype: str, backwards: bool = False, few: bool = True) -> Form:
    """The form of a convolution; without dot products unless `few`."""
    depth, columns = shape.group_channels, shape.group_filters
    depth, columns = (columns, depth) if backwards else (depth, columns)
    taps = math.prod(axis.k for axis in shape.axes)
    lanes = unit().lanes(dtype)
    if shape.lanewise:
        return Form("lanes", 1, shape.channels, columns_of(shape.channels, taps, dtype, True))
    met = taps / math.prod(axis.stride for axis in shape.axes) if backwards else taps
    dots = columns * (met * -(-depth // lanes) + ADDING)
    if few and columns <= min(FEW, lanes // 2) and dots < 0.4 * met * depth:
        return Form("dots", depth, columns, (Block(0, lanes, 1, lanes),))
    return Form("product", depth, columns, columns_of(columns, taps * depth, dtype))


def weights_for(
    name: str, shape: Geometry, w: Any, prepared: Any, backwards: bool
) -> tuple[Form, Weights]:
    """The form of a convolution with these weights, and where it reads them."""
    view, dtype = filters_last(name, w), str(w.dtype)
    made = form(shape, dtype, backwards)
    if prepared is not None:
        return made, _prepared(name, shape, made, prepared)
    if made.kind == "product" and backwards:
        raise ValueError("conv_input: takes weights prepared by conv_input_weights")
    if made.kind == "dots" and not backwards and shape.filters > 1:
        made = form(shape, dtype, few=False)
    d, h, w_, c, f = dense_strides(view.shape, view.itemsize)
    first = [int(view.ctypes.data) + block.first * f for block in made.cut]
    if made.kind == "dots" and not backwards:
        return made, Weights((first[0],), ((d, h, w_),), (f,), 0)
    n = len(first)
    return made, Weights(tuple(first), ((d, h, w_),) * n, (c,) * n, shape.group_filters * f)


def _prepared(name: str, shape: Geometry, made: Form, prepared: Any) -> Weights:
    """Panels: for each group and block of columns (d, h, w, depth, width). For dot products
    (d, h, w, F, C / groups)."""
    taps = [axis.k for axis in shape.axes]
    count, size, at = _count(shape, made), prepared.itemsize, int(prepared.ctypes.data)
    if prepared.ndim != 1 or prepared.size < count or not prepared.flags.c_contiguous:
        raise ValueError(
            f"{name}: prepared weights have {count} elements in one row, not shape {prepared.shape}"
        )
    if made.kind == "dots":
        d, h, w, f, _ = dense_strides((*taps, shape.filters, made.depth), size)
        return Weights((at,), ((d, h, w),), (f,), made.columns * f)
    first, steps, channel = [], [], []
    for block in made.cut:
        d, h, w, row, _ = dense_strides((*taps, made.depth, block.width), size)
        first.append(at)
        steps.append((d, h, w))
        channel.append(row)
        at += taps[0] * d
    return Weights(tuple(first), tuple(steps), tuple(channel), at - first[0])


def _count(shape: Geometry, made: Form) -> int:
    each = made.columns if made.kind == "dots" else made.width
    return shape.groups * math.prod(axis.k for axis in shape.axes) * made.depth * each


def conv_count(
    x: Any, w: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> int:
    """Elements of the weights prepared for ``conv``; 0 where they are best used as they are."""
    shape = geometry("conv", x, w, y, stride, padding, dilation, groups)
    made = form(shape, str(w.dtype))
    wide = w.nbytes > PANEL and made.columns * w.itemsize >= 1024
    useful = {"product": wide, "dots": shape.filters > 1, "lanes": False}
    return _count(shape, made) if useful[made.kind] else 0


def conv_input_count(
    x: Any, w: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> int:
    """Elements of the weights prepared for ``conv_input``; 0 where they are used as they are."""
    shape = geometry("conv_input", x, w, y, stride, padding, dilation, groups)
    made = form(shape, str(w.dtype), True)
    return _count(shape, made) if made.kind == "product" else 0


def conv_weights(
    x: Any, w: Any, y: Any, prepared: Any, *, stride: Ints, padding: Pairs, dilation: Ints,
    groups: int, part: tuple[int, int] = (0, 1),
) -> list[Call]:  # fmt: skip
    """Calls that prepare w for ``conv``: blocks of columns one after the other. ``part``: (t, n) of
    n threads, each doing a share. Of ``x`` and ``y`` only the shapes are looked at."""
    shape = geometry("conv_weights", x, w, y, stride, padding, dilation, groups)
    view, made = filters_last("conv_weights", w), form(shape, str(w.dtype))
    weights, size = _prepared("conv_weights", shape, made, prepared), w.itemsize
    program = Program(str(w.dtype), 1, (w, prepared))
    taps, rows = math.prod(view.shape[:3]), shape.group_channels
    first, last = _share(rows, part)
    for block, begin, steps, row in zip(made.cut, weights.first, weights.taps, weights.channel):
        source = int(view.ctypes.data) + (first * shape.filters + block.first) * size
        over_taps = Loop(taps, rows * shape.filters * size, 0, steps[2])
        if made.kind == "dots":
            turned = (last - first, shape.filters, shape.filters, 1, rows, 1, 0)
            place = Place(source, 0, begin + first * size)
            program.step(transpose_matrix, place, turned, [over_taps])
        else:
            words = (last - first, block.columns, shape.filters, block.width)
            loops = [Loop(groups, shape.group_filters * size, 0, weights.group), over_taps]
            program.step(copy_rows, Place(source, 0, begin + first * row), words, loops)
    return program.calls() if last > first else []


def conv_input_weights(
    x: Any, w: Any, y: Any, prepared: Any, *, stride: Ints, padding: Pairs, dilation: Ints,
    groups: int, part: tuple[int, int] = (0, 1),
) -> list[Call]:  # fmt: skip
    """Calls that prepare w for ``conv_input``: channels as columns, the taps that make the same
    elements together, from the last to the first. ``part`` as for ``conv_weights``."""
    shape = geometry("conv_input_weights", x, w, y, stride, padding, dilation, groups)
    view, made = filters_last("conv_input_weights", w), form(shape, str(w.dtype), True)
    weights, size = _prepared("conv_input_weights", shape, made, prepared), w.itemsize
    program = Program(str(w.dtype), 1, (w, prepared))
    first, last = _share(shape.group_filters, part)
    classes = [[taps for taps in tap_classes(axis) if taps.taps] for axis in shape.axes]
    strides = dense_strides(view.shape, size)
    for block, begin, steps, row in zip(made.cut, weights.first, weights.taps, weights.channel):
        words = (block.columns, last - first, shape.filters, 1, block.width, 1, 0)
        for combination in itertools.product(*classes):
            a = int(view.ctypes.data) + first * size + block.first * strides[3]
            c = begin + first * row
            loops = [Loop(groups, shape.group_filters * size, 0, weights.group)]
            for taps, from_axis, to_axis in zip(combination, strides, steps):
                a, c = a + taps.last * from_axis, c + taps.place * to_axis
                loops.append(Loop(taps.taps, -taps.step * from_axis, 0, to_axis))
            program.step(transpose_matrix, Place(a, 0, c), words, loops)
    return program.calls() if last > first else []


def _share(rows: int, part: tuple[int, int]) -> tuple[int, int]:
    """This thread's rows, in multiples of 16."""
    each = -(-rows // (16 * part[1])) * 16
    return min(rows, part[0] * each), min(rows, (part[0] + 1) * each)
