"""Picking along an axis: take and its gradient, argmax, argsort."""

from __future__ import annotations

import math

from numpy import int32, int64

from tensorgraph_cupy.cuda import source
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.launching import THREADS, WIDE, grid, pack, sized
from tensorgraph_cupy.kernels.spelling import SIZES, TYPES, WORDS

Three = tuple[int, int, int]


def take(
    device: Device, dtype: str, sizes: Three, picks: int, x: int, indices: int, out: int
) -> None:
    """x (outer, n, inner) at so many int64 indices along the middle axis, which lie within it."""
    outer, n, inner = sizes
    size = outer * picks * inner
    if not size:
        return
    width = pack(dtype, inner, x, out)
    program, count = _made(WORDS[SIZES[dtype]], max(size, math.prod(sizes)), width)
    arguments = (x, indices, out, count(outer), count(n), count(picks), count(inner))
    device.launch(program, "take", grid(device, size // width), (THREADS,), arguments)


def take_add(
    device: Device, dtype: str, sizes: Three, picks: int, g: int, indices: int, out: int
) -> None:
    """``g`` (outer, picks, inner) added up at the indices, as float32 (outer, n, inner)."""
    outer, n, inner = sizes
    rows = outer * n * -(-inner // 32)
    if not rows:
        return
    largest = max(outer * picks * inner, 32 * rows)
    program, count = sized("index.cu", dtype, largest, WIDTH=1)
    arguments = (g, indices, out, count(outer), count(n), count(picks), count(inner))
    device.launch(program, "take_add", grid(device, 32 * rows), (THREADS,), arguments)


def argmax(device: Device, dtype: str, sizes: Three, x: int, out: int) -> None:
    """Where the largest is along the middle axis, as int64."""
    outer, n, inner = sizes
    if not outer * inner:
        return
    program, count = sized("index.cu", dtype, math.prod(sizes), WIDTH=1)
    arguments = (x, out, count(outer), count(n), count(inner))
    device.launch(program, "argmax", grid(device, outer * inner), (THREADS,), arguments)


def argsort(device: Device, dtype: str, rows: int, n: int, x: int, out: int) -> None:
    """The indices (int64) that sort each of the rows of any dtype, in n comparisons for each."""
    if rows * n:
        program, count = _made(TYPES[dtype][0], rows * n, 1)
        arguments = (x, out, count(rows), count(n))
        device.launch(program, "argsort", grid(device, rows * n), (THREADS,), arguments)


def _made(storage: str, size: int, width: int) -> tuple[str, type[int32] | type[int64]]:
    """The source for elements of a type of CUDA's, and the type of its counts."""
    if size < WIDE:
        return source("index.cu", STORAGE=storage, WIDTH=width), int32
    return source("index.cu", STORAGE=storage, WIDTH=width, COUNT="int64"), int64
