"""Sizes of grids, and other arithmetic that launch functions share."""

from __future__ import annotations

from typing import Any

import numpy

from tensorgraph_cupy.cuda import STORAGE, source
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.spelling import SIZES

THREADS = 256
BLOCKS_EACH = 8  # blocks of 256 threads that fill a multiprocessor's 2048
WIDE = 1 << 30  # with fewer elements, a count plus the threads of a grid fits 32 bits


def grid(device: Device, threads: int, each: int = THREADS) -> tuple[int]:
    """Blocks for so many threads, and no more than run at a time: kernels go on in steps of the
    whole grid."""
    return blocks_for(device.processors, threads, each)


def blocks_for(processors: int, threads: int, each: int = THREADS) -> tuple[int]:
    """The same, for a GPU of so many multiprocessors."""
    most = processors * BLOCKS_EACH * THREADS // each
    return (max(1, min(-(-threads // each), most)),)


def sized(file: str, dtype: str, size: int, **macros: str | int) -> tuple[str, Any]:
    """The source for this storage and so many elements, and the type of its counts."""
    if size < WIDE:
        return source(file, STORAGE=STORAGE[dtype], **macros), numpy.int32
    return source(file, STORAGE=STORAGE[dtype], COUNT="int64", **macros), numpy.int64


def pack(dtype: str, last: int, *addresses: int) -> int:
    """How many neighbours a thread moves at a time: 16 bytes, or one element where the last axis or
    an address is no multiple of that."""
    width = 16 // SIZES[dtype]
    return width if last % width == 0 and not any(a % 16 for a in addresses) else 1
