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
    return random_bits_each(xp, key[None], shape=(1, *shape)).reshape(shape)


def random_bits_each(xp: Any, keys: Any, *, shape: tuple[int, ...]) -> Any:
    rows, size = shape[0], math.prod(shape[1:])
    each = -(-size // 4)  # counters of a key, all of their words: the kernel has no remainder
    out = xp.empty((rows, 4 * each), numpy.uint32)
    if out.size:
        counters = rows * each
        blocks = min(-(-counters // THREADS), MOST_BLOCKS)
        numbers = numpy.uint64(each), numpy.uint64(counters)
        _kernel(xp)((blocks,), (THREADS,), (xp.ascontiguousarray(keys), out, *numbers))
    return out[:, :size].reshape(shape)


@functools.cache
def _kernel(xp: Any) -> Any:
    return xp.RawKernel(SOURCE.read_text("utf-8"), "philox", options=("-std=c++17",))
