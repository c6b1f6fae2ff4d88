"""Images times filters as programs of tiles: what a convolution and its gradient in the image are.

The rows of a tile are pixels along one axis, or the same pixel of several images; its columns are
channels of the result. No image is copied and nothing outside an image is read: along each axis,
results that lack the same taps make a span, and the tiles of each combination of spans sum over
the taps that there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from tensorgraph_numba.kernels.choice import (
    CACHE,
    PANEL,
    Block,
    alike,
    blocks,
    cycles,
    rows_apart,
    segments,
)
from tensorgraph_numba.kernels.pack import fill_rows, spread_row
from tensorgraph_numba.kernels.program import Loop, Place, Program, Strides
from tensorgraph_numba.kernels.spans import Span
from tensorgraph_numba.kernels.tile_code import Shape
from tensorgraph_numba.vector import unit

ROWS = 64  # blocks of columns are cut for tiles that have rows enough
TAPS, SHIFT = 7, 3  # of windows whose rows share what they read: so many, so far apart
FAR = 1.05  # what it costs more if rows are farther apart


class Images(NamedTuple):
    """Where images are, and bytes from sample to sample, and along the axes d, h, w and c."""

    address: int
    sample: int
    axes: tuple[int, int, int]
    channel: int


class Weights(NamedTuple):
    """Where filters are: for each block of columns the first weight, bytes along the taps' axes and
    from channel to channel that is summed over, and from group to group."""

    first: tuple[int, ...]
    taps: tuple[tuple[int, int, int], ...]
    channel: tuple[int, ...]
    group: int


def merged(loops: Sequence[Loop]) -> list[Loop]:
    """Loops, the innermost last, without those of one turn; two that follow on as one."""
    out: list[Loop] = []
    for loop in loops:
        last = out[-1] if out else None
        if loop.times == 1:
            continue
        if last and last[1:] == tuple(loop.times * step for step in loop[1:]):
            out[-1] = loop._replace(times=last.times * loop.times)
        else:
            out.append(loop)
    return out


class Sizes(NamedTuple):
    """Samples, groups, and for each group channels that are summed over and columns of results."""

    samples: int
    groups: int
    channels: int
    columns: int
    kind: str = "product"  # or "lanes": a channel by itself; or "dots": vectors along the sum


def columns_of(columns: int, depth: int, dtype: str, lanewise: bool = False) -> tuple[Block, ...]:
    """The blocks of columns for results of any size, so that prepared weights serve all."""
    return blocks(ROWS, columns, depth, dtype, lanewise, widest=1 if lanewise else 8)[0]


class Correlation:
    """Writes the steps of one correlation into a program."""

    def __init__(
        self, program: Program, x: Images, w: Weights, y: Images, sizes: Sizes,
        cut: Sequence[Block], bias: int = 0,
    ) -> None:  # fmt: skip
        self.program, self.x, self.w, self.y, self.sizes = program, x, w, y, sizes
        self.cut, self.bias = cut, bias
        self.size = 8 if program.dtype == "float64" else 4

    def write(self, spans: Sequence[Sequence[Span]], turn: Place) -> None:
        """All combinations of the three axes' spans."""
        for combination in sorted(itertools.product(*spans), key=_work):
            if all(span.taps for span in combination):
                self._tiles(combination, turn)
            else:
                self._nothing(combination, turn)

    def _rows(self, spans: Sequence[Span]) -> list[Loop]:
        """The loops over results: samples and the axes, those that continue one another as one."""
        found = [Loop(self.sizes.samples, self.x.sample, 0, self.y.sample)]
        for span, a, c in zip(spans, self.x.axes, self.y.axes):
            found.append(Loop(span.results, span.move * a, 0, span.step * c))
        return merged(found)

    def _place(self, spans: Sequence[Span], block: int, first: tuple[int, int]) -> Place:
        columns = self.cut[block].first * self.size
        a, b = self.x.address + first[0], self.w.first[block]
        c = self.y.address + first[1] + columns
        if self.sizes.kind == "lanes":
            a += columns
        for span, x, w, y in zip(spans, self.x.axes, self.w.taps[block], self.y.axes):
            a += span.begin * x
            b += span.tap * w
            c += span.first * y
        return Place(a, b, c, self.bias + columns if self.bias else 0)

    def _row_axis(self, loops: Sequence[Loop], depth: int) -> int:
        """Which of the loops over results the rows of tiles run along."""
        whole, lanewise = unit().lanes(self.program.dtype), self.sizes.kind != "product"
        results = math.prod(loop.times for loop in loops)

        def cost(i: int) -> float:
            rows, most = loops[i].times, rows_apart(loops[i].a)
            each = sum(
                cycles(rows, depth, x.vectors, x.lanes, whole, lanewise, most) for x in self.cut
            )
            return each * results / rows * FAR ** (len(loops) - 1 - i)

        return min(range(len(loops)), key=cost)

    def _tiles(self, spans: Sequence[Span], turn: Place) -> None:
        loops = self._rows(spans) or [Loop(1)]
        depth = math.prod(span.taps for span in spans)
        depth *= self.sizes.channels if self.sizes.kind == "product" else 1
        rows = loops.pop(self._row_axis(loops, depth))
        for first, part, strip in self._strips(loops, rows):
            for i, group in self._groups():
                place = self._place(spans, i, first)
                around = [group, *self._columns(), *part]
                for n, (made, sums, a, b) in enumerate(self._parts(spans, i, self.cut[i])):
                    again = n > 0
                    start = place.c if again else place.start
                    base = Place(place.a + a, place.b + b, place.c, start)
                    self._sweep(made, base, sums, around, strip, again, turn)

    def _groups(self) -> list[tuple[int, Loop]]:
        """Blocks of columns, each with the loop over its groups; where each channel is by itself,
        over the blocks that are like it, which lie beside it."""
        sizes, size = self.sizes, self.size
        if sizes.kind == "lanes":
            steps = [(i, many, self.cut[i].width * size) for i, many in alike(self.cut)]
            return [(i, Loop(n, x, x, x, x if self.bias else 0)) for i, n, x in steps]
        step = sizes.columns * size
        start = step if self.bias else 0
        group = Loop(sizes.groups, sizes.channels * self.x.channel, self.w.group, step, start)
        return [(i, group) for i in range(len(self.cut))]

    def _columns(self) -> list[Loop]:
        """The loop over columns where they are not the lanes of tiles."""
        if self.sizes.kind != "dots":
            return []
        start = self.size if self.bias else 0
        return [Loop(self.sizes.columns, 0, self.w.channel[0], self.size, start)]

    def _parts(
        self, spans: Sequence[Span], i: int, block: Block
    ) -> list[tuple[Block, list[Loop], int, int]]:
        """The sum in parts: for each the tiles' columns, loops, the innermost last, and how far
        its first element is in the images and in the weights."""
        taps = [
            Loop(span.taps, span.spread * a, span.tap_step * b)
            for span, a, b in zip(spans, self.x.axes, self.w.taps[i])
        ]
        sizes, size = self.sizes, self.size
        given = [(block, taps, 0)]
        if sizes.kind == "product":
            channels = Loop(sizes.channels, self.x.channel, self.w.channel[i])
            given = [(block, [*taps, channels], 0)]
        elif sizes.kind == "dots":
            whole, rest = divmod(sizes.channels, block.lanes)
            along = Loop(whole, block.lanes * size, block.lanes * size)
            given = [(Block(0, block.lanes, 1, block.lanes), [*taps, along], 0)] if whole else []
            if rest:
                given.append((Block(0, rest, 1, block.lanes), taps, whole * block.lanes * size))
        return [
            (made, sums, first + a, first + b)
            for made, loops, first in given
            for sums, a, b in _passes(merged(loops), made, size)
        ]

    def _strips(
        self, loops: Sequence[Loop], rows: Loop
    ) -> list[tuple[tuple[int, int], list[Loop], Loop]]:
        """Results in parts that stay in the cache while one block or group after the other is
        computed: how far each begins in the images, and its loops and rows."""
        outer = loops[0] if loops else rows
        each = abs(outer.a) + outer.c
        many = max(1, CACHE // 2 // max(1, each))
        passes = len(self.cut) * self.sizes.groups * math.prod(x.times for x in self._columns())
        if passes == 1 or outer.times <= many:
            return [((0, 0), list(loops), rows)]
        out = []
        for i in range(0, outer.times, many):
            part = outer._replace(times=min(many, outer.times - i))
            inner = ([part, *loops[1:]], rows) if loops else ([], part)
            out.append(((i * outer.a, i * outer.c), *inner))
        return out

    def _sweep(
        self, block: Block, base: Place, sums: Sequence[Loop], loops: Sequence[Loop], rows: Loop,
        again: bool, turn: Place,
    ) -> None:  # fmt: skip
        """Tiles of one block over all rows; `again`: they add to what is there."""
        three = ([Loop(1, 0, 0)] * 3 + list(sums))[-3:]
        strides = Strides(
            rows.a, rows.c, rows.c if again else 0,
            (three[0].a, three[1].a, three[2].a), (three[0].b, three[1].b, three[2].b),
        )  # fmt: skip
        counts = (three[0].times, three[1].times, three[2].times)
        around = [loop._replace(start=loop.c) if again else loop for loop in loops]
        turn = turn._replace(start=turn.c if again else 0)
        taps, shift = self._window(three[2], rows)
        most = min(rows_apart(rows.a), unit().registers - taps - 2 if taps else ROWS)
        for segment in segments(rows.times, block.vectors, most):
            a, c = segment.first * rows.a, segment.first * rows.c
            place = Place(base.a + a, base.b, base.c + c, base.start + c if again else base.start)
            down = segment.rows * rows.c
            loop = Loop(segment.tiles, segment.rows * rows.a, 0, down, down if again else 0)
            kind = self.sizes.kind
            shape = Shape(
                segment.rows, block.vectors, block.lanes, block.last < block.lanes,
                kind != "product", kind == "dots", taps, shift,
            )  # fmt: skip
            self.program.tile(shape, place, strides, counts, [*around, loop], block.last, turn)

    def _window(self, taps: Loop, rows: Loop) -> tuple[int, int]:
        """How many taps tiles of lanes take at once, and how many lie between rows; 0 if none."""
        if self.sizes.kind != "lanes" or not 2 <= taps.times <= TAPS or rows.a % taps.a:
            return 0, 0
        shift = rows.a // taps.a
        return (taps.times, shift) if 1 <= shift <= SHIFT else (0, 0)

    def _nothing(self, spans: Sequence[Span], turn: Place) -> None:
        """Results without any tap: 0, or the bias."""
        loops = self._rows(spans)
        last = loops.pop() if loops else Loop(1)
        count = self.sizes.columns * self.sizes.groups
        c = self.y.address + sum(span.first * y for span, y in zip(spans, self.y.axes))
        place = Place(self.bias, 0, c)
        loops = [loop._replace(a=0) for loop in loops]
        words = (last.times, count, last.c // self.size)
        made = spread_row if self.bias else fill_rows
        self.program.step(made, place, words, loops, Place(0, 0, turn.c))


def _work(spans: Sequence[Span]) -> int:
    """To put what is most first: the rest finds its data in the cache."""
    return -math.prod(span.results for span in spans)


def _passes(sums: list[Loop], block: Block, size: int) -> list[tuple[list[Loop], int, int]]:
    """The sum in parts of at most three loops whose weights stay in the cache: the loops of each,
    and how far its first element is in the images and in the weights."""
    total = math.prod(x.times for x in sums) * block.width * size
    if len(sums) <= 3 and total <= PANEL:
        return [(sums, 0, 0)]
    first, rest = sums[0], sums[1:]
    one = total // first.times
    step = 1 if len(sums) > 3 else max(1, min(first.times, PANEL // one))
    out = []
    for i in range(0, first.times, step):
        part = first._replace(times=min(step, first.times - i))
        inner = [part, *rest] if part.times > 1 or not rest else rest
        deeper = _passes(inner, block, size) if len(inner) > 3 else [(inner, 0, 0)]
        out += [(x, a + i * first.a, b + i * first.b) for x, a, b in deeper]
    return out
