"""Matrix products as programs of tiles, from operands of any strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_numba.kernels.choice import CACHE, PANEL, Block, blocks, rows_apart, segments
from tensorgraph_numba.kernels.dots import dots
from tensorgraph_numba.kernels.pack import copy_rows, fill_rows, transpose_matrix
from tensorgraph_numba.kernels.program import Loop, Place, Program, Strides
from tensorgraph_numba.native import Call
from tensorgraph_numba.vector import unit

Scratch = Callable[[int], Any]
TRANSPOSED = 0.6  # cycles per element
FEW = 3  # so few columns are dot products


def matmul(x: Any, y: Any, out: Any, *, accumulate: bool = False, scratch: Scratch) -> list[Call]:
    """Calls for out = x @ y, or out += x @ y: (…, M, K) @ (…, K, N), and vectors, as NumPy has it.

    ``x`` and ``y``: any strides that are not negative. ``out``: rows in C order. Split the work
    over threads by slicing ``x`` and ``out`` along the batch or M, or ``y`` and ``out`` along N.
    Raises ValueError where shapes or strides do not fit.
    """
    x, y, out = _matrices(x, y, out)
    batch = out.shape[:-2]
    x = np.broadcast_to(x, batch + x.shape[-2:])
    y = np.broadcast_to(y, batch + y.shape[-2:])
    if not out.size:
        return []
    x, y, out = _merged(x, y, out)
    calls = []
    for index in np.ndindex(out.shape[:-3]):
        calls += _stack(x[index], y[index], out[index], accumulate, scratch)
    return calls


def _matrices(x: Any, y: Any, out: Any) -> tuple[Any, Any, Any]:
    """Vectors as matrices; checked."""
    given = x, y, out
    if x.ndim == 1 and y.ndim == 1:
        x, y, out = x[None], y[:, None], out.reshape(1, 1)
    elif x.ndim == 1:
        x, out = x[None], out[..., None, :]
    elif y.ndim == 1:
        y, out = y[:, None], out[..., None]
    fits = (
        min(x.ndim, y.ndim, out.ndim) >= 2
        and (*out.shape[-2:], x.shape[-1]) == (x.shape[-2], y.shape[-1], y.shape[-2])
        and out.shape[:-2] == np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        and len({z.dtype for z in given}) == 1
    )
    if not fits:
        shapes = ", ".join(f"{z.dtype}{list(z.shape)}" for z in given)
        raise ValueError(f"matmul: {shapes} are no x, y and out of a product x @ y")
    if out.shape[-1] > 1 and out.strides[-1] != out.itemsize:
        raise ValueError(
            f"matmul: rows of out must be contiguous, and its strides are {out.strides}"
        )
    return x, y, out


def _merged(x: Any, y: Any, out: Any) -> tuple[Any, Any, Any]:
    """As stacks (…, batch, M, K) of at least one batch axis; a batch that shares y and follows on
    from row to row becomes rows."""
    while out.ndim > 2 and (
        out.shape[-3] == 1
        or (
            y.strides[-3] == 0
            and all(z.strides[-3] == z.shape[-2] * z.strides[-2] for z in (x, out))
        )
    ):
        shape = (*out.shape[:-3], out.shape[-3] * out.shape[-2])
        x, out = (_rows(z, (*shape, z.shape[-1])) for z in (x, out))
        y = y[..., 0, :, :]
    if out.ndim == 2:
        x, y, out = x[None], y[None], out[None]
    return x, y, out


def _rows(x: Any, shape: tuple[int, ...]) -> Any:
    """Axes -3 and -2 as one, without copying."""
    step = x.strides[-2] if x.shape[-2] > 1 else x.strides[-3]
    strides = (*x.strides[:-3], step, x.strides[-1])
    return np.lib.stride_tricks.as_strided(x, shape, strides)


class _Way(NamedTuple):
    """One way to compute a product, and what it costs in cycles."""

    cycles: float
    swapped: bool  # out.T = y.T @ x.T, from a transposed copy of x; out.T is transposed back
    packed: bool  # panels of y are copied first


def _way(m: int, n: int, k: int, x: Any, y: Any) -> _Way:
    dtype, size = str(x.dtype), x.itemsize
    most = rows_apart(x.strides[-2])
    cut, straight = blocks(m, n, k, dtype, most=most)
    if n == 1 or y.strides[-1] == size:
        tiles = sum(s.tiles for s in segments(m, cut[0].vectors, most))
        return _Way(straight, False, k * y.strides[-2] > CACHE and tiles > 24)
    packing = TRANSPOSED * k * n
    _, cost = blocks(n, m, k, dtype, most=rows_apart(y.strides[-1]))
    swapped = _Way(cost + TRANSPOSED * (m * k + m * n), True, True)
    return min(_Way(straight + packing, False, True), swapped)


def _stack(x: Any, y: Any, out: Any, accumulate: bool, scratch: Scratch) -> list[Call]:
    """A batch of products, (B, M, K) @ (B, K, N)."""
    (turns, m, n), k, size = out.shape, x.shape[-1], out.itemsize
    if k == 0:
        program = Program(str(out.dtype), turns, (out,))
        place, step = Place(0, 0, out.ctypes.data), Place(0, 0, out.strides[0])
        program.step(fill_rows, place, (m, n, out.strides[1] // size), (), step)
        return [] if accumulate else program.calls()
    if k > 2 * unit().lanes(out.dtype):
        if n <= FEW and x.strides[-1] == size == y.strides[-2]:
            return dots(x, y.swapaxes(1, 2), out, accumulate)
        if m <= FEW and x.strides[-1] == size == y.strides[-2]:
            return dots(y.swapaxes(1, 2), x, out.swapaxes(1, 2), accumulate)
    way = _way(m, n, k, x, y)
    program = Program(str(out.dtype), turns, (x, y, out))
    turn = Place(x.strides[0], y.strides[0], out.strides[0])
    if not way.swapped:
        _product(program, x[0], y[0], out[0], turn, accumulate, way.packed, scratch)
        return program.calls()
    held = scratch(m * n)[: m * n].reshape(n, m)
    moves = Place(turn.b, turn.a, 0)
    _product(program, y[0].T, x[0].T, held, moves, False, True, scratch)
    words = (n, m, m, 1, out.strides[1] // size, 1, int(accumulate))
    place = Place(held.ctypes.data, 0, out.ctypes.data)
    program.step(transpose_matrix, place, words, (), Place(0, 0, turn.c))
    program.arrays.append(held)
    return program.calls()


def _product(
    program: Program, x: Any, y: Any, out: Any, turn: Place, accumulate: bool, packed: bool,
    scratch: Scratch,
) -> None:  # fmt: skip
    """Steps for out (+)= x @ y, one block of columns after the other."""
    (m, n), k, size = out.shape, x.shape[1], out.itemsize
    most = rows_apart(x.strides[0])
    cut = blocks(m, n, k, str(out.dtype), most=most)[0]
    panel = scratch(k * max(b.width for b in cut)) if packed else None
    program.arrays += [] if panel is None else [panel]
    for block in cut:
        if panel is not None:
            pack(program, y[:, block.first : block.first + block.columns], panel, block, turn.b)
        deep = max(64, PANEL // (block.width * size))
        for first in range(0, k, deep):
            count = min(deep, k - first)
            if panel is None:
                b, row, b_turn = address_of(y, first, block.first), y.strides[0], turn.b
            else:
                row, b_turn = block.width * size, 0
                b = panel.ctypes.data + first * row
            add = accumulate or first > 0
            moves = Place(turn.a, b_turn, turn.c, turn.c if add else 0)
            strides = Strides(
                x.strides[0], out.strides[0], out.strides[0], (0, 0, x.strides[1]), (0, 0, row)
            )
            for segment in segments(m, block.vectors, most):
                c = address_of(out, segment.first, block.first)
                place = Place(address_of(x, segment.first, first), b, c, c if add else 0)
                down = segment.rows * out.strides[0]
                loop = Loop(segment.tiles, segment.rows * x.strides[0], 0, down, down if add else 0)
                program.tile(
                    block.shape(segment.rows),
                    place,
                    strides,
                    (1, 1, count),
                    [loop],
                    block.last,
                    moves,
                )


def address_of(x: Any, i: int, j: int) -> int:
    """Where element (i, j) of a matrix is."""
    return int(x.ctypes.data + i * x.strides[0] + j * x.strides[1])


def pack(program: Program, y: Any, panel: Any, block: Block, turn: int) -> None:
    """A step that copies a block of columns of y, (K, columns), to rows of the block's width."""
    k, columns = y.shape
    row, step = (s // y.itemsize for s in y.strides)
    place, moves = Place(y.ctypes.data, 0, panel.ctypes.data), Place(turn, 0, 0)
    if step == 1 or columns == 1:
        program.step(copy_rows, place, (k, columns, row, block.width), (), moves)
    else:
        program.step(transpose_matrix, place, (columns, k, step, row, block.width, 1, 0), (), moves)
