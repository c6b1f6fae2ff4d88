"""The gradient of a convolution in its weights, as programs of tiles that sum over pixels.

The rows of a tile are channels of the image, or taps, or both where those lie side by side; its
columns are filters. As in ``correlate`` no image is copied: each tap, or span of taps, sums over
those results whose window has it inside the image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tensorgraph_numba.kernels.choice import CACHE, Block, alike, blocks, most_rows, segments
from tensorgraph_numba.kernels.conv import Scratch, turns_of
from tensorgraph_numba.kernels.correlate import merged
from tensorgraph_numba.kernels.pack import fill_rows
from tensorgraph_numba.kernels.program import Loop, Place, Program, Strides
from tensorgraph_numba.kernels.spans import (
    Axis,
    Geometry,
    Ints,
    Pairs,
    Span,
    channels_last,
    clipped,
    dense_strides,
    filters_last,
    forward,
    geometry,
    spatial_strides,
)
from tensorgraph_numba.native import Call
from tensorgraph_numba.vector import unit

BUSY = 8  # products of whole registers for each number of A that a tile reads, to keep up
DEEP = 256  # results that a tile should at least sum over, for its sums are loaded and stored


def conv_weight(
    x: Any, y: Any, w: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    accumulate: bool = False, scratch: Scratch | None = None,
) -> list[Call]:  # fmt: skip
    """Calls for the gradient w in the weights (added to w with ``accumulate``), from the gradient
    y of a convolution of x; layouts as for ``conv``. To share the work, split the batch."""
    shape = geometry("conv_weight", x, w, y, stride, padding, dilation, groups)
    if not w.size:
        return []
    work = _Gradient(shape, x, y, w)
    each = (x[:1].size + y[:1].size) * w.itemsize
    pixels = math.prod(axis.out for axis in shape.axes)
    at_once = max(CACHE // 2 // max(1, each), -(-DEEP // max(1, pixels)))
    at_once = max(1, min(shape.samples, at_once))
    calls: list[Call] = []
    for first, turns, samples in turns_of(shape.samples, at_once) or [(0, 1, 0)]:
        fresh = 0 if accumulate or first else 1
        for begin, count in ((0, fresh), (fresh, turns - fresh)):
            if count:
                program = Program(str(w.dtype), count, (x, y, w))
                again = not (fresh and begin == 0)
                work.write(program, first + begin * samples, samples, again)
                calls += program.calls()
    return calls


class _Way(NamedTuple):
    """What the rows of tiles are: taps along the last axis, channels, or both; how many; blocks of
    columns; cycles."""

    taps: bool
    channels: bool
    rows: int
    cut: tuple[Block, ...]
    cycles: float


class _Gradient:
    """Writes the steps of one gradient."""

    def __init__(self, shape: Geometry, x: Any, y: Any, w: Any) -> None:
        self.shape, self.size, self.dtype = shape, w.itemsize, str(w.dtype)
        self.x, self.y = channels_last("conv_weight", x), channels_last("conv_weight", y)
        self.w = filters_last("conv_weight", w)
        self.x_axes, self.y_axes = spatial_strides(self.x), spatial_strides(self.y)
        self.w_axes = dense_strides(self.w.shape, self.size)
        self.groups = 1 if shape.lanewise else shape.groups
        self.columns = shape.filters // self.groups

    def write(self, program: Program, first: int, samples: int, again: bool) -> None:
        """Sum over `samples` from `first` on, adding to what is there or not."""
        way = self._way(max(1, samples))
        spans = [_each_tap(axis) for axis in self.shape.axes]
        if way.taps:
            spans[2] = sorted(forward(self.shape.axes[2]), key=lambda span: -span.taps)
            spans[2] = [span for span in spans[2] if span.taps]
        strips = self._strips(way)
        whole = len(strips) == 1 and all(
            _covers(x, axis.k) for x, axis in zip(spans, self.shape.axes)
        )
        loops = sum(n > 1 for n in (samples, *[axis.out for axis in self.shape.axes]))
        if not again and not (whole and samples and loops <= 3):
            words = (math.prod(self.w.shape[:4]), self.w.shape[4], self.w.shape[4])
            program.step(fill_rows, Place(0, 0, int(self.w.ctypes.data)), words, ())
            again = True
        if samples:
            turn = Place(samples * self.x.strides[0], samples * self.y.strides[0], 0)
            for d, strip, cut in itertools.product(spans[0], strips, self._blocks(way)):
                inside = [x for x in (clipped(h, *strip) for h in spans[1]) if x.results]
                for h, (i, w) in itertools.product(inside, enumerate(spans[2])):
                    adds = again or (way.taps and i > 0)
                    self._tiles(program, way, cut, (d, h, w), first, samples, adds, turn)

    def _strips(self, way: _Way) -> list[tuple[int, int]]:
        """Rows of results in parts, so that an image too large for the cache is read there by
        tiles that do little with what they read."""
        out = self.shape.axes[1].out
        each = (self.x[:1].nbytes + self.y[:1].nbytes) // max(1, out)
        many = max(1, CACHE // 2 // max(1, each))
        tile = max((min(way.rows, most_rows(x.vectors)) * x.width for x in way.cut), default=0)
        if tile >= BUSY * unit().lanes(self.dtype):
            return [(0, out)]
        return [(i, min(out, i + many)) for i in range(0, out, many)]

    def _way(self, samples: int) -> _Way:
        """The cheapest rows and columns of tiles."""
        shape, axis = self.shape, self.shape.axes[2]
        depth = samples * math.prod(axis.out for axis in shape.axes)
        channels = 1 if shape.lanewise else shape.group_channels
        found = []
        for taps, inner in ((False, True), (True, False), (True, True)):
            if taps and inner and (shape.groups > 1 or axis.dilation > 1 or channels == 1):
                continue
            spans = forward(axis) if taps else _each_tap(axis)
            times, cut, most, total = 1 if inner else channels, None, 0, 0.0
            for span in sorted(spans, key=lambda span: -span.taps * span.results):
                rows = (span.taps if taps else 1) * (channels if inner else 1)
                part = max(1, depth * span.results // max(1, axis.out))
                if rows:
                    best, price = blocks(rows, self.columns, part, self.dtype, shape.lanewise)
                    cut, most = cut or best, max(rows, most)
                    total += times * price
            if cut:
                found.append(_Way(taps, inner, most, cut, total))
        return min(found, key=lambda way: way.cycles, default=_Way(False, True, 0, (), 0.0))

    def _sums(self, samples: int, spans: Sequence[Span]) -> list[Loop]:
        """The loops over samples and results, the innermost last."""
        found = [Loop(samples, self.x.strides[0], self.y.strides[0])]
        for span, a, b in zip(spans, self.x_axes, self.y_axes):
            found.append(Loop(span.results, span.move * a, b))
        return merged(found)

    def _blocks(self, way: _Way) -> list[tuple[Block, Loop]]:
        """Blocks of columns, each with the loop over its groups; where each channel is by itself,
        over the blocks that are like it, which lie beside it."""
        size = self.size
        if self.shape.lanewise:
            steps = [(way.cut[i], many, way.cut[i].width * size) for i, many in alike(way.cut)]
            return [(block, Loop(many, x, x, x)) for block, many, x in steps]
        columns = self.columns * size
        group = Loop(self.groups, self.shape.group_channels * size, columns, columns)
        return [(block, group) for block in way.cut]

    def _tiles(
        self, program: Program, way: _Way, cut: tuple[Block, Loop], spans: Sequence[Span],
        first: int, samples: int, again: bool, turn: Place,
    ) -> None:  # fmt: skip
        """Tiles of one block of columns, over all rows and groups."""
        (block, group), lanewise, size = cut, self.shape.lanewise, self.size
        channels = 1 if lanewise else self.shape.group_channels
        a = int(self.x.ctypes.data) + first * self.x.strides[0] + lanewise * block.first * size
        b = int(self.y.ctypes.data) + first * self.y.strides[0] + block.first * size
        c = int(self.w.ctypes.data) + block.first * size
        for span, x, y, w in zip(spans, self.x_axes, self.y_axes, self.w_axes):
            a, b, c = a + span.begin * x, b + span.first * y, c + span.tap * w
        adds = int(again)
        sums = self._sums(samples, spans)
        loops = [group]
        if way.channels:
            rows = Loop(channels * (spans[2].taps if way.taps else 1), size, 0, self.w_axes[3])
        else:
            rows = Loop(spans[2].taps, spans[2].spread * self.x_axes[2], 0, self.w_axes[2])
            loops.append(Loop(channels, size, 0, self.w_axes[3]))
        outer = sums[:-3]  # each turn adds to the same sums
        three = ([Loop(1, 0, 0)] * 3 + sums)[-3:]
        strides = Strides(
            rows.a, rows.c, rows.c,
            (three[0].a, three[1].a, three[2].a), (three[0].b, three[1].b, three[2].b),
        )  # fmt: skip
        counts = (three[0].times, three[1].times, three[2].times)
        for segment in segments(rows.times, block.vectors):
            to = c + segment.first * rows.c
            place = Place(a + segment.first * rows.a, b, to, to * adds)
            tiles = Loop(segment.tiles, segment.rows * rows.a, 0, segment.rows * rows.c)
            around = [x._replace(start=x.c * adds) for x in (*loops, tiles, *outer)]
            shape = block.shape(segment.rows, lanewise)
            program.tile(shape, place, strides, counts, around, block.last, turn)


def _each_tap(axis: Axis) -> list[Span]:
    """For each tap, the results whose window has it inside the image."""
    out = []
    for tap in range(axis.k):
        start = tap * axis.dilation - axis.before
        low = max(0, -(start // axis.stride))
        high = min(axis.out, (axis.size - 1 - start) // axis.stride + 1)
        if low < high:
            begin = low * axis.stride + start
            out.append(Span(low, 1, high - low, begin, axis.stride, axis.dilation, tap, 1))
    return out


def _covers(spans: Sequence[Span], taps: int) -> bool:
    """Whether each tap has a span, or the first has them all."""
    return bool(spans) and (
        len(spans) == taps == sum(x.taps for x in spans) or spans[0].taps == taps
    )
