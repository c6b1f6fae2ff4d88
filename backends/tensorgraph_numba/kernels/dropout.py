"""Random words from a counter and dropout, the same bits as the ops ``random_bits`` and ``drop``.

Philox4x32-10 makes four words of each number of a block: J. K. Salmon, M. A. Moraes, R. O. Dror,
D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011. Eight blocks go side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from tensorgraph_numba.kernels.lanes import (
    I32,
    I64,
    Vector,
    first,
    form_of,
    instruction,
    lanes,
    load_masked,
    place,
    pointer,
    shuffle,
    splat,
    spread,
    store_masked,
)
from tensorgraph_numba.kernels.lanewise import select
from tensorgraph_numba.kernels.layout import channels_last, described, fill, turn_all
from tensorgraph_numba.late import types
from tensorgraph_numba.native import Call, bind, extent, inner, kernel, number

Scratch = Callable[[int], Any]

ROUNDS = 10
MULTIPLIERS = np.uint64(0xCD9E8D57), np.uint64(0xD2511F53)
KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
GROUP = 32  # words of eight blocks
CHUNK = 32 * GROUP  # words at a time, which stay in the cache
CHANNELS = 16  # of an image at a time: as many as a vector has words


@instruction
def blocks(context: Any, start: Any) -> Any:
    """Eight numbers of blocks, from ``start`` on."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form = form_of(signature.return_type)
        return builder.add(splat(builder, arguments[0], 8), ir.Constant(form, list(range(8))))

    return Vector(types.uint64, 8)(start), generate


@instruction
def store_blocks(context: Any, to: Any, i: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Write the words of eight blocks, the low halves of a, b, c, d, one block after the other."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, i, *words = arguments
        half = splat(builder, ir.Constant(I64, 32), 8)
        low = splat(builder, ir.Constant(I64, 0xFFFFFFFF), 8)
        pairs = [
            builder.or_(builder.and_(words[k], low), builder.shl(words[k + 1], half))
            for k in (0, 2)
        ]
        for part in range(2):
            order = [k + 8 * pair for k in range(4 * part, 4 * part + 4) for pair in range(2)]
            at = builder.add(i, ir.Constant(I64, 16 * part))
            where = place(builder, arguments[0], at, pairs[0].type)
            builder.store(shuffle(builder, pairs[0], pairs[1], order), where, align=4)
        return target.get_dummy_value()

    return types.void(to, types.int64, a, a, a, a), generate


@inner
def write_words(key: Any, position: int, count: int, to: Any) -> int:
    """Write the words from ``position`` on to ``to``, and up to ``GROUP`` more before and behind
    them; where the first of them is."""
    zero = np.uint64(0)
    low = spread(LOW, zero)
    first_multiplier, second_multiplier = spread(MULTIPLIERS[0], zero), spread(MULTIPLIERS[1], zero)
    shift = spread(np.uint64(32), zero)
    skipped = position % 4
    for i in range(0, skipped + count, GROUP):
        block = blocks(np.uint64((position + i) // 4))
        a, b = block & low, block >> shift
        c, d = spread(np.uint64(key[2]), zero), spread(np.uint64(key[3]), zero)
        k, m = np.uint64(key[0]), np.uint64(key[1])
        for _ in range(ROUNDS):
            over_c, over_a = (c & low) * first_multiplier, (a & low) * second_multiplier
            a = (over_c >> shift) ^ b ^ spread(k, zero)
            c = (over_a >> shift) ^ d ^ spread(m, zero)
            b, d = over_c, over_a
            k, m = (k + KEY_STEPS[0]) & LOW, (m + KEY_STEPS[1]) & LOW
        store_blocks(to, i, a, b, c, d)
    return skipped


@kernel
def philox_words(a: Any, like: Any) -> None:
    key, out = pointer(a[0], np.uint32(0)), pointer(a[2], np.uint32(0))
    words, position, count = pointer(a[4], np.uint32(0)), a[6], a[7]
    for i in range(0, count, CHUNK):
        n = min(CHUNK, count - i)
        skipped = write_words(key, position + i, n, words)
        for c in range(0, n, lanes(like)):
            mask = first(n - c, like)
            store_masked(out, i + c, load_masked(words, skipped + c, mask), mask)


@instruction
def at_most(context: Any, words: Any, bound: Any) -> Any:
    """Which words are not above a number."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        limit = splat(builder, builder.trunc(arguments[1], I32), words.count)
        return builder.icmp_unsigned("<=", arguments[0], limit)

    return Vector(types.boolean, words.count)(words, types.int64), generate


@inner
def _dropped(v: Any, words: Any, bound: int, scale: float, like: Any) -> Any:
    """``scale * v`` where a word is not above the bound, else 0."""
    return select(at_most(words, bound), v * spread(scale, like), spread(0.0, like))


@kernel
def drop_rows(a: Any, like: Any) -> None:
    """Rows whose elements are numbered in the order of their memory."""
    x, key, out = pointer(a[0], like), pointer(a[2], np.uint32(0)), pointer(a[4], like)
    rows, x_row, out_row, count, position, bound = a[8], a[9], a[10], a[11], a[12], a[13]
    scale = number(a, 14)
    for row in range(rows):
        for i in range(0, count, CHUNK):
            n = min(CHUNK, count - i)
            at = position + row * count + i
            write_words(key, at, n, pointer(a[6], np.uint32(0)))
            words = pointer(a[6] + at % 4 * 4, np.uint32(0))
            p, q = row * x_row + i, row * out_row + i
            for c in range(0, n, lanes(like)):
                mask = first(n - c, like)
                v, w = load_masked(x, p + c, mask), load_masked(words, c, mask)
                store_masked(out, q + c, _dropped(v, w, bound, scale, like), mask)


@kernel
def drop_images(a: Any, like: Any) -> None:
    """Channels-last images, numbered channel by channel: the words of some channels are turned
    like an image."""
    x, key, out = pointer(a[0], like), pointer(a[2], np.uint32(0)), pointer(a[4], like)
    samples, x_sample, out_sample, position, bound = a[8], a[9], a[10], a[12], a[13]
    channels, places, scale, turned = a[15], a[16], number(a, 14), pointer(a[17], np.uint32(0))
    for i in range(samples):
        for begin in range(0, channels, CHANNELS):
            n = min(CHANNELS, channels - begin)
            at = position + (i * channels + begin) * places
            write_words(key, at, n * places, pointer(a[6], np.uint32(0)))
            words = pointer(a[6] + at % 4 * 4, np.uint32(0))
            if n == CHANNELS and places >= CHANNELS:
                turn_all(words, 0, places, turned, 0, CHANNELS, places, n, CHANNELS)
            else:
                for c in range(n):
                    for place in range(places):
                        turned[place * CHANNELS + c] = words[c * places + place]
            for c in range(0, n, lanes(like)):
                mask = first(n - c, like)
                p, q = i * x_sample + begin + c, i * out_sample + begin + c
                for place in range(places):
                    v = load_masked(x, p, mask)
                    w = load_masked(turned, place * CHANNELS + c, mask)
                    store_masked(out, q, _dropped(v, w, bound, scale, like), mask)
                    p += channels
                    q += channels


def _key(name: str, key: Any) -> None:
    if key.shape != (4,) or key.dtype != np.uint32 or extent(key) != 4:
        raise ValueError(f"{name}: a key is uint32[4], without gaps, not {described(key)}")


def scratch_words(scratch: Scratch, count: int) -> Any:
    """Memory for ``count`` words, and for those that ``write_words`` writes besides."""
    return scratch(count + 2 * GROUP).view(np.uint32)


def random_bits(key: Any, out: Any, *, first: int, scratch: Scratch) -> list[Call]:
    """The words of the stream of ``key`` from number ``first`` on, to the dense array ``out``."""
    _key("random_bits", key)
    if out.dtype != np.uint32 or not out.flags.c_contiguous:
        raise ValueError(f"random_bits: writes dense uint32, not {described(out)}")
    if not out.size:
        return []
    words = scratch_words(scratch, CHUNK)
    return [bind(philox_words, "float32", key, out, words, first, out.size)]


def drop(x: Any, key: Any, out: Any, *, p: float, first: int, scratch: Scratch) -> list[Call]:
    """``x / (1 - p)``, and 0 where a word is among the highest share ``p``; of an element it is the
    word whose number is ``first`` plus the element's in row-major order of ``x``.

    Images have channels innermost, other arrays are dense. ``out`` may be ``x``.
    """
    _key("drop", key)
    if (x.shape, x.dtype) != (out.shape, out.dtype):
        raise ValueError(f"drop: {described(x)} is not the shape and dtype of {described(out)}")
    bound = round((1 - p) * 2**32)
    if not bound:
        return fill(out, 0.0)
    if not x.size:
        return []
    samples, places = len(x) if x.ndim else 1, math.prod(x.shape[2:])
    steps = [t.strides[0] // t.itemsize if x.ndim else 0 for t in (x, out)]
    numbers = [x.size // samples, first, bound - 1, 1 / (1 - p)]
    dtype = x.dtype.name
    if x.flags.c_contiguous and out.flags.c_contiguous:
        numbers[0] = x.size
        words = scratch_words(scratch, CHUNK)
        return [bind(drop_rows, dtype, x, key, out, words, 1, 0, 0, *numbers)]
    if not (channels_last(x) and channels_last(out)):
        raise ValueError(
            f"drop: takes dense arrays or images with channels innermost, both alike, not "
            f"{described(x)} and {described(out)}"
        )
    if x.shape[1] == 1 or places == 1:
        words = scratch_words(scratch, CHUNK)
        return [bind(drop_rows, dtype, x, key, out, words, samples, *steps, *numbers)]
    words, turned = (scratch_words(scratch, CHANNELS * places) for _ in range(2))
    sizes = x.shape[1], places
    return [bind(drop_images, dtype, x, key, out, words, samples, *steps, *numbers, *sizes, turned)]
