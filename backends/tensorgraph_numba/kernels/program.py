"""Programs: tiles and copies in nested loops whose addresses step, a table run by one kernel.

A factory writes down which tile runs where (`Program.tile`); `walk` does so at every replay. A
step costs some 5 ns more than the same code in place, and no layer needs code of its own: every
tile shape is compiled once for all products, convolutions and gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from tensorgraph_numba.kernels.tile_code import BYTES, I64, Operands, Shape, emit
from tensorgraph_numba.late import intrinsic, types
from tensorgraph_numba.native import Call, _invoke, _pointer, bind, kernel

LEVELS = 6  # nested loops of one step
COLUMNS = 11 + 5 * LEVELS  # words of a step


class Loop(NamedTuple):
    """One of the loops around a step: how often, and how many bytes its addresses move on."""

    times: int
    a: int = 0
    b: int = 0
    c: int = 0
    start: int = 0


class Place(NamedTuple):
    """Addresses of what a step reads and writes: A, B, C and the start of the sums (0: zeros)."""

    a: int
    b: int
    c: int
    start: int = 0


STILL = Place(0, 0, 0)


class Strides(NamedTuple):
    """Bytes between the rows of a tile's operands, and along its three sums."""

    a_row: int
    c_row: int
    start_row: int = 0
    a: tuple[int, int, int] = (0, 0, 0)
    b: tuple[int, int, int] = (0, 0, 0)


@intrinsic(prefer_literal=True)
def _tile_of_words(
    context: Any, rows: Any, vectors: Any, lanes: Any, masked: Any, lanewise: Any, summed: Any,
    taps: Any, shift: Any, a: Any, like: Any,
) -> Any:  # fmt: skip
    """A tile whose operands are words: a, b, c, start; their rows' strides; counts; strides of the
    sums; columns. All strides in bytes."""
    literals = (rows, vectors, lanes, masked, lanewise, summed, taps, shift)
    shape = Shape._make([int(x.literal_value) for x in literals])

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        words = [
            builder.load(builder.gep(values[len(literals)], [ir.Constant(I64, i)]))
            for i in range(TILE_WORDS)
        ]
        pointers = [builder.inttoptr(x, BYTES) for x in words[:4]]
        sums = (tuple(words[i : i + 3]) for i in (7, 10, 13))
        operands = Operands._make((*pointers, *words[4:7], *sums, words[16]))
        emit(builder, target.get_data_type(like), shape, operands)
        return target.get_dummy_value()

    return types.void(*literals, a, like), generate


TILE_WORDS = 17


@functools.cache
def tile_kernel(shape: Shape) -> Any:
    """The kernel that runs one tile of this shape."""
    rows, vectors, lanes, masked, lanewise, summed, taps, shift = (int(x) for x in shape)

    def tile(a, like):  # type: ignore[no-untyped-def]
        _tile_of_words(rows, vectors, lanes, masked, lanewise, summed, taps, shift, a, like)

    words = [name for name in Shape._fields[3:] if getattr(shape, name)]
    words = [
        name if name not in ("taps", "shift") else f"{name}{getattr(shape, name)}" for name in words
    ]
    tile.__name__ = tile.__qualname__ = "_".join(map(str, ("tile", *shape[:3], *words)))
    return kernel(tile)


def kernel_named(name: str) -> Any:
    """The kernel of a tile, by its name."""
    _, rows, vectors, lanes, *words = name.split("_")
    masked, lanewise, summed = (word in words for word in ("masked", "lanewise", "summed"))
    taps, shift = (
        next((int(word.removeprefix(field)) for word in words if word.startswith(field)), 0)
        for field in ("taps", "shift")
    )
    sizes = int(rows), int(vectors), int(lanes)
    return tile_kernel(Shape(*sizes, masked, lanewise, summed, taps, shift))


@kernel
def walk(a: Any, like: Any) -> None:
    """Run a table's steps in order, all of them `outer` times.

    A step's row: function, words, four addresses, how they move from one outer turn to the next,
    number of loops, and for each loop, the innermost first: count, and how the addresses move when
    it advances (the loops within it having come to their ends). After all steps and their words
    there is room to count in, zeros at first and at last.
    """
    steps, outer = a[2], a[3]
    counters = _pointer(a[0] + 8 * (a[1] - LEVELS), a[0])
    for turn in range(outer):
        for step in range(steps):
            row = _pointer(a[0] + 8 * step * COLUMNS, a[0])
            words = _pointer(row[1], a[0])
            for i in range(4):
                words[i] = row[2 + i] + turn * row[6 + i]
            levels = row[10]
            level = 0
            while level < levels:
                _invoke(row[0], row[1])
                level = 0
                while level < levels:
                    at = 11 + 5 * level
                    counters[level] += 1
                    if counters[level] < row[at]:
                        for i in range(4):
                            words[i] += row[at + 1 + i]
                        break
                    counters[level] = 0
                    level += 1


class Program:
    """Steps to be run in order, and what they have in common: a dtype and outer turns. `arrays`:
    those whose addresses it holds, kept alive. While it runs it counts in its own table: one thread
    at a time."""

    def __init__(self, dtype: str, outer: int = 1, arrays: Sequence[Any] = ()) -> None:
        self.dtype, self.outer = dtype, outer
        self.arrays = list(arrays)
        self.rows: list[list[int]] = []
        self.blocks: list[int] = []  # words of all steps, one after the other
        self.known: dict[tuple[Any, ...], int] = {}  # words of a step: where its block begins
        self.kernels: list[Any] = []  # of each row

    def step(
        self, made: Any, place: Place, words: Sequence[int], loops: Sequence[Loop],
        turn: Place = STILL,
    ) -> None:  # fmt: skip
        """Add a kernel whose first four words are addresses; `words` are those that follow.
        `loops`, the outermost first; `turn`: how the addresses move between outer turns."""
        key = (made, *words)
        if key not in self.known:
            self.known[key] = len(self.blocks)
            self.blocks += [0, 0, 0, 0, *words]
        self.kernels.append(made)
        row = [0, self.known[key], *place, *turn]
        inner = [loop for loop in reversed(loops) if loop.times > 1] or [Loop(1)]
        if len(inner) > LEVELS:
            raise ValueError(f"a step has at most {LEVELS} loops, not {len(inner)}")
        row.append(len(inner))
        passed = [0, 0, 0, 0]
        for loop in inner:
            row += [loop.times, *(x - y for x, y in zip(loop[1:], passed))]
            passed = [y + (loop.times - 1) * x for x, y in zip(loop[1:], passed)]
        self.rows.append(row + [0] * (COLUMNS - len(row)))

    def tile(
        self, shape: Shape, place: Place, strides: Strides, counts: tuple[int, int, int],
        loops: Sequence[Loop] = (), columns: int = 0, turn: Place = STILL,
    ) -> None:  # fmt: skip
        """Add a tile; `counts` of its three sums, and `columns` of its last vector if masked."""
        words = (*strides[:3], *counts, *strides.a, *strides.b, columns)
        self.step(tile_kernel(shape), place, words, loops, turn)

    def calls(self) -> list[Call]:
        """The program as a call."""
        if not self.rows:
            return []
        size = len(self.rows) * COLUMNS
        table = np.zeros(size + len(self.blocks) + LEVELS, np.int64)
        rows = np.array(self.rows, np.int64)
        rows[:, 1] = table.ctypes.data + 8 * (size + rows[:, 1])
        table[:size] = rows.ravel()
        table[size:-LEVELS] = self.blocks
        call = bind(walk, self.dtype, table, len(self.rows), self.outer, *self.arrays)
        places: dict[Any, list[int]] = {}
        for i, made in enumerate(self.kernels):
            places.setdefault(made, []).append(i * COLUMNS)
        return [call._replace(inner=[(made, table, at) for made, at in places.items()])]
