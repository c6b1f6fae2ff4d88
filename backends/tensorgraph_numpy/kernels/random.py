"""Random words from any place of their stream, in parts that stay in the cache, and dropout."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph_numpy.threads import POOL, shards

# Philox4x32-10: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011
MULTIPLIERS = np.array([[0xCD9E8D57], [0xD2511F53]], np.uint64)
KEY_STEPS = np.array([[0x9E3779B9], [0xBB67AE85]], np.uint64)
ROUNDS = 10
LOW = np.uint64(0xFFFFFFFF)
PART = 1 << 13  # blocks at a time: the three work arrays fill half of a core's L2 cache
WORDS_PER_SECOND = 1.2e8


def words(key: Any, first: int, count: int) -> Any:
    """``count`` words of the key's stream, from number ``first`` on; uint32."""
    block, skipped = divmod(first, 4)
    blocks = -(-(skipped + count) // 4)
    out = np.empty((blocks, 4), np.uint32)

    def fill(start: int, stop: int) -> None:
        numbers = np.arange(block + start, block + stop, dtype=np.uint64)
        _philox(key, numbers, out[start:stop])

    _in_parts(fill, blocks)
    return out.reshape(-1)[skipped : skipped + count]


def words_each(keys: Any, count: int) -> Any:
    """The first ``count`` words of the stream of each key (n, 4): (n, count); uint32."""
    each = -(-count // 4)
    out = np.empty((len(keys) * each, 4), np.uint32)

    def fill(start: int, stop: int) -> None:
        own, numbers = np.divmod(np.arange(start, stop, dtype=np.int64), each)
        _philox(keys[own].T, numbers.astype(np.uint64), out[start:stop])

    _in_parts(fill, len(out))
    return out.reshape(len(keys), 4 * each)[:, :count]


def _in_parts(fill: Callable[[int, int], None], blocks: int) -> None:
    def work(part: range) -> None:
        for start in range(part.start, part.stop, PART):
            fill(start, min(part.stop, start + PART))

    seconds = 4 * blocks / WORDS_PER_SECOND
    POOL.run([functools.partial(work, part) for part in shards(blocks, seconds)])


def _philox(key: Any, numbers: Any, out: Any) -> None:
    """Write the four words of the blocks of these numbers, under one key (4,), or a key for each
    block (4, n).

    Words 0 and 2 of the state go through a round together, as ``even``, and 1 and 3 as ``odd``, of
    which only the low halves count.
    """
    given = key.astype(np.uint64)
    first = given[:2].reshape(2, -1)
    even, odd, product = np.empty((3, 2, len(out)), np.uint64)
    even[0], even[1] = numbers & LOW, given[2]
    odd[0], odd[1] = numbers >> np.uint64(32), given[3]
    for i in range(ROUNDS):
        np.multiply(even[::-1], MULTIPLIERS, out=product)
        np.right_shift(product, np.uint64(32), out=even)
        even ^= odd
        even ^= first + np.uint64(i) * KEY_STEPS
        even &= LOW
        odd, product = product, odd
    out[:, 0::2], out[:, 1::2] = even.T, odd.T


def random_bits(key: Any, *, shape: tuple[int, ...]) -> Any:
    return words(key, 0, math.prod(shape)).reshape(shape)


def random_bits_each(keys: Any, *, shape: tuple[int, ...]) -> Any:
    return words_each(keys, math.prod(shape[1:])).reshape(shape)


def kept_bound(p: float) -> int:
    """Words from here on drop their element with probability ``p``."""
    return round((1 - p) * 2**32)


def dropout_mask(x: Any, key: Any, *, p: float, first: int) -> Any:
    """All bits of an integer where an element of ``x`` is kept, else none; ``first`` is the number
    of the first element's word."""
    kept = words(key, first, x.size).reshape(x.shape) < kept_bound(p)
    return np.negative(kept.view(np.int8), dtype=f"i{x.itemsize}")


def drop(x: Any, key: Any, *, p: float) -> Any:
    bound = kept_bound(p)
    if not bound:
        return np.zeros_like(x)
    return masked(x, dropout_mask(x, key, p=p, first=0), scale=1 / (1 - p))


def masked(x: Any, mask: Any, out: Any = None, *, scale: float) -> Any:
    """``x * scale`` where the bits of ``mask`` are set, else 0: also where ``x`` is infinite."""
    scaled = np.multiply(x, scale, out=np.empty_like(x) if out is None else out)
    bits = scaled.view(mask.dtype)
    np.bitwise_and(bits, mask, out=bits)
    return scaled


KERNELS = [
    Kernel("random_bits", "parts", random_bits),
    Kernel("random_bits_each", "parts", random_bits_each),
    Kernel("drop", "parts", drop),
]
