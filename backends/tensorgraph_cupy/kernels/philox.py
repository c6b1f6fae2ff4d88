"""Random words by a CUDA kernel: the bits of the portable one, one launch instead of a hundred."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy

SOURCE = Path(__file__).with_name("philox.cu")
THREADS = 256
MOST_BLOCKS = 4096  # each thread takes several words where there are more


def random_bits(xp: Any, key: Any, *, shape: tuple[int, ...]) -> Any:
    size = math.prod(shape)
    out = xp.empty(-(-size // 4) * 4, numpy.uint32)  # whole counters: the kernel has no remainder
    if size:
        blocks = min(-(-len(out) // (4 * THREADS)), MOST_BLOCKS)
        counters = numpy.uint64(len(out) // 4)
        _kernel(xp)((blocks,), (THREADS,), (xp.ascontiguousarray(key), out, counters))
    return out[:size].reshape(shape)


@functools.cache
def _kernel(xp: Any) -> Any:
    return xp.RawKernel(SOURCE.read_text("utf-8"), "philox", options=("-std=c++17",))
