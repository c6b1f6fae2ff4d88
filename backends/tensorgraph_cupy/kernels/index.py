"""Picking along an axis: take and its gradient, argmax."""

from __future__ import annotations

import math

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.launching import THREADS, grid, pack, sized

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
    program, count = sized("index.cu", dtype, max(size, math.prod(sizes)), WIDTH=width)
    arguments = (x, indices, out, count(outer), count(n), count(picks), count(inner))
    device.launch(program, "take", grid(device, size // width), (THREADS,), arguments)


def take_add(
    device: Device, dtype: str, sizes: Three, picks: int, g: int, indices: int, out: int
) -> None:
    """Add ``g`` (outer, picks, inner) up at the indices, in float32 (outer, n, inner)."""
    outer, n, inner = sizes
    size = outer * picks * inner
    if not size:
        return
    program, count = sized("index.cu", dtype, max(size, math.prod(sizes)), WIDTH=1)
    arguments = (g, indices, out, count(outer), count(n), count(picks), count(inner))
    device.launch(program, "take_add", grid(device, size), (THREADS,), arguments)


def argmax(device: Device, dtype: str, sizes: Three, x: int, out: int) -> None:
    """Where the largest is along the middle axis, as int64."""
    outer, n, inner = sizes
    if not outer * inner:
        return
    program, count = sized("index.cu", dtype, math.prod(sizes), WIDTH=1)
    arguments = (x, out, count(outer), count(n), count(inner))
    device.launch(program, "argmax", grid(device, outer * inner), (THREADS,), arguments)
