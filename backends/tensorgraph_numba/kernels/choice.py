"""Which tiles cover a product: its columns cut into blocks of vectors, its rows into tiles.

A model of the processor decides, in cycles: multiply-adds of whole registers, loads, the time that
sums wait for themselves, and what a tile costs besides. Widths below half a register count half,
as one of 512 bits is issued as two of 256 on some processors; on the others it makes no difference.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from tensorgraph_numba.kernels.tile_code import Shape, copies
from tensorgraph_numba.vector import cache, unit

WIDTHS = (1, 2, 3, 4, 6, 8)  # vectors of a tile
LATENCY = 4.0  # cycles until a sum can be added to again
TILE = 30.0  # cycles that a tile takes besides its products
ROW = 2.0  # cycles to load or store a vector of C
FAR, NUMBER = (
    0.002,
    32.0,
)  # cycles per byte that may come from farther than L1; a number of A as bytes
CACHE = cache()
PANEL = CACHE // 4  # bytes of B that stay in the cache beside what they are multiplied with
PAGE = 1 << 12  # bytes that a way of the L1 cache holds
WAYS = 6  # of its 8, for the rows of A
MANY = 1 << 30


class Block(NamedTuple):
    """Columns of the product: the first, how many, and the vectors that hold them."""

    first: int
    columns: int
    vectors: int
    lanes: int

    @property
    def width(self) -> int:
        """Columns that the vectors have room for."""
        return self.vectors * self.lanes

    @property
    def last(self) -> int:
        """How many lanes of the last vector hold columns."""
        return self.columns - (self.vectors - 1) * self.lanes

    def shape(self, rows: int, lanewise: bool = False) -> Shape:
        """A tile of this block."""
        return Shape(rows, self.vectors, self.lanes, self.last < self.lanes, lanewise)


def alike(cut: Sequence[Block]) -> list[tuple[int, int]]:
    """Blocks of the same sizes that follow one another: which is the first, and how many."""
    found = []
    for _, run in itertools.groupby(range(len(cut)), lambda i: cut[i][1:]):
        first, *others = run
        found.append((first, 1 + len(others)))
    return found


class Segment(NamedTuple):
    """Tiles of as many rows each, one after the other."""

    first: int
    rows: int
    tiles: int


def most_rows(vectors: int) -> int:
    """Rows of a tile whose sums, with a row of B and a number of A, fit the registers."""
    return (unit().registers - vectors - 1) // vectors


def rows_apart(stride: int) -> int:
    """How many rows, so many bytes apart, a tile may have before those lines of its A that share a
    set of the L1 cache displace each other."""
    return PAGE // math.gcd(stride, PAGE) * WAYS


def segments(rows: int, vectors: int, most: int = MANY) -> list[Segment]:
    """Rows as tiles of at most two sizes, as equal as can be, of not more rows than `most`."""
    tiles = -(-rows // min(most, most_rows(vectors)))
    small, more = divmod(rows, tiles)
    out = [Segment(0, small + 1, more)] if more else []
    return [*out, Segment(more * (small + 1), small, tiles - more)]


def cycles(
    rows: int, depth: int, vectors: int, lanes: int, whole: int, lanewise: bool, most: int = MANY
) -> float:
    """What `rows` rows of a block cost, `depth` products deep, `most` rows to a tile."""
    rate = 0.5 if 2 * lanes <= whole else 1.0
    total = 0.0
    for segment in segments(rows, vectors, most):
        products = segment.rows * vectors * rate
        loads = products if lanewise else segment.rows / 2
        step = max(products, loads + vectors * rate, LATENCY / copies(segment.rows, vectors))
        step += FAR * (NUMBER * segment.rows + 4 * lanes * vectors)
        rest = TILE + ROW * products
        total += segment.tiles * (depth * step + rest)
    return total


@functools.lru_cache(maxsize=4096)
def blocks(
    rows: int, columns: int, depth: int, dtype: str, lanewise: bool = False, most: int = MANY,
    widest: int = 8,
) -> tuple[tuple[Block, ...], float]:  # fmt: skip
    """The cheapest blocks for a product (rows, depth) @ (depth, columns), and their cycles; `most`
    rows in a tile, `widest` vectors in a block."""
    whole = unit().lanes(dtype)
    options = [(whole, v) for v in WIDTHS if most_rows(v) >= 1 and v <= widest]
    options += [(lanes, 1) for lanes in (whole // 2, whole // 4) if lanes > 1]
    price = {(n, v): cycles(rows, depth, v, n, whole, lanewise, most) for n, v in options}
    # many columns are mostly blocks of the width that is best; what is left over is searched
    best = min(options, key=lambda x: price[x] / (x[0] * x[1]))
    wide = best[0] * best[1]
    cut = max(0, columns // wide - 4)
    known: list[tuple[float, tuple[int, int]]] = [(0.0, (0, 0))]
    for n in range(1, columns - cut * wide + 1):
        known.append(min((price[x] + known[max(0, n - x[0] * x[1])][0], x) for x in options))
    total = cut * price[best] + known[-1][0]
    chosen, left = [best] * cut, columns - cut * wide
    while left > 0:
        chosen.append(known[left][1])
        left -= chosen[-1][0] * chosen[-1][1]
    out, first = [], 0
    for lanes, vectors in sorted(chosen, reverse=True):  # narrow ones last: others stay aligned
        taken = min(columns - first, lanes * vectors)
        if taken > 0:
            out.append(Block(first, taken, -(-taken // lanes), lanes))
        first += taken
    return tuple(out), total
