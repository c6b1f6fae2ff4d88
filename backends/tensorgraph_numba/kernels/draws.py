"""Random words of a key for each sample, and the numbers that are made of words; float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir

from tensorgraph_numba.kernels import chain_lanes as functions
from tensorgraph_numba.kernels.chain_lanes import Lanes
from tensorgraph_numba.kernels.dropout import CHUNK, Scratch, scratch_words, write_words
from tensorgraph_numba.kernels.lanes import (
    I64,
    first,
    form_of,
    instruction,
    lanes,
    load_masked,
    place,
    pointer,
    shuffle,
    store_masked,
    whole,
)
from tensorgraph_numba.kernels.layout import described
from tensorgraph_numba.late import types
from tensorgraph_numba.native import Call, bind, kernel

PAIRS = 16  # at a time: two vectors of numbers


@kernel
def words_of_keys(a: Any, like: Any) -> None:
    """A row of words for each key."""
    out, words = pointer(a[2], np.uint32(0)), pointer(a[4], np.uint32(0))
    rows, key_step, count = a[6], a[7], a[8]
    for row in range(rows):
        key, to = pointer(a[0] + 4 * row * key_step, np.uint32(0)), row * count
        for i in range(0, count, CHUNK):
            n = min(CHUNK, count - i)
            write_words(key, i, n, words)
            for c in range(0, n, lanes(like)):
                mask = first(n - c, like)
                store_masked(out, to + i + c, load_masked(words, c, mask), mask)


@instruction
def unit(context: Any, words: Any, like: Any) -> Any:
    """The upper 24 bits of each word as a number in [0, 1)."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = arguments[0].type
        bits = builder.lshr(arguments[0], ir.Constant(word, [8] * words.count))
        form = form_of(signature.return_type)
        scale = ir.Constant(form, [2.0**-24] * words.count)
        return builder.fmul(builder.sitofp(bits, form), scale)

    return whole(like)(words, like), generate


@kernel
def units_of_words(a: Any, like: Any) -> None:
    words, out, begin, end = pointer(a[0], np.uint32(0)), pointer(a[2], like), a[4], a[5]
    for i in range(begin, end, lanes(like)):
        mask = first(end - i, like)
        store_masked(out, i, unit(load_masked(words, i, mask), like), mask)


def _sine_and_cosine(turns: Lanes) -> tuple[Lanes, Lanes]:
    """Of so many whole turns, from 0 to 1. To the nearest quarter it is at most an eighth, exactly;
    there Taylor's series serve, and quarters exchange the two and turn their signs."""
    quarter = (turns * 4.0).intrinsic("rint")
    x = (turns - quarter * 0.25) * (2 * math.pi)
    square = x * x
    series = [(-1) ** (k // 2) / math.factorial(k) for k in range(10)]
    sine = x * functions.polynomial(square, series[1::2])
    cosine = functions.polynomial(square, series[0::2])
    odd = quarter - (quarter * 0.5).intrinsic("floor") * 2.0

    def signed(x: Lanes, quarters: Lanes) -> Lanes:
        return (quarters * 0.5).intrinsic("floor").where("==", 1.0, -x, x)

    return (
        signed(odd.where("==", 1.0, cosine, sine), quarter),
        signed(odd.where("==", 1.0, sine, cosine), quarter + 1.0),
    )


@instruction
def normal_pairs(context: Any, source: Any, out: Any, i: Any) -> Any:
    """Write the normal numbers of ``PAIRS`` pairs of numbers, from element ``i`` on."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form, size = form_of(whole(source.dtype)), 4
        where = [builder.add(arguments[2], ir.Constant(I64, k * form.count)) for k in (0, 1)]
        x, y = (builder.load(place(builder, arguments[0], at, form), align=size) for at in where)
        u, turns = (
            Lanes(builder, shuffle(builder, x, y, list(range(k, 2 * PAIRS, 2))), "float32", PAIRS)
            for k in (0, 1)
        )
        radius = (functions.log1p(-u) * -2.0).intrinsic("sqrt")
        sine, cosine = _sine_and_cosine(turns)
        x, y = (radius * cosine).value, (radius * sine).value
        for k, at in enumerate(where):
            order = [j + PAIRS * both for j in range(8 * k, 8 * k + 8) for both in range(2)]
            both = shuffle(builder, x, y, order)
            builder.store(both, place(builder, arguments[1], at, form), align=size)
        return target.get_dummy_value()

    return types.void(source, out, types.int64), generate


@kernel
def normals_of_units(a: Any, like: Any) -> None:
    """The last pairs are brought to ``rest``, which has room for ``PAIRS``, and changed there."""
    u, out, rest, begin, end = (
        pointer(a[0], like),
        pointer(a[2], like),
        pointer(a[4], like),
        a[6],
        a[7],
    )
    whole_end = end - (end - begin) % (2 * PAIRS)
    for i in range(begin, whole_end, 2 * PAIRS):
        normal_pairs(u, out, i)
    left = end - whole_end
    if left > 0:
        for i in range(2 * PAIRS):
            rest[i] = u[whole_end + i] if i < left else rest[0]
        normal_pairs(rest, rest, 0)
        for i in range(left):
            out[whole_end + i] = rest[i]


def random_bits_each(keys: Any, out: Any, *, scratch: Scratch) -> list[Call]:
    """The first words of the stream of each key (n, 4), to the rows of the dense ``out``."""
    if keys.ndim != 2 or keys.dtype != np.uint32 or keys.shape[1] != 4 or keys.strides[1] != 4:
        raise ValueError(f"random_bits_each: keys are uint32[n,4] in rows, not {described(keys)}")
    if out.dtype != np.uint32 or not out.flags.c_contiguous or len(out) != len(keys):
        raise ValueError(f"random_bits_each: writes dense uint32, not {described(out)}")
    if not out.size:
        return []
    words, step = scratch_words(scratch, CHUNK), keys.strides[0] // 4
    return [bind(words_of_keys, "float32", keys, out, words, len(keys), step, out[0].size)]


def _dense(name: str, x: Any, out: Any) -> None:
    alike = x.size == out.size and x.flags.c_contiguous and out.flags.c_contiguous
    if not alike or out.dtype != np.float32:
        raise ValueError(f"{name}: takes dense arrays to float32, not {described(x)}")


def unit_interval(bits: Any, out: Any, *, part: tuple[int, int] = (0, 1)) -> list[Call]:
    """The op of this name, of dense arrays; ``part`` (t, threads) writes share t."""
    _dense("unit_interval", bits, out)
    begin, end = (out.size * t // part[1] for t in (part[0], part[0] + 1))
    return [bind(units_of_words, "float32", bits, out, begin, end)] if begin < end else []


def box_muller(u: Any, out: Any, *, scratch: Scratch, part: tuple[int, int] = (0, 1)) -> list[Call]:
    """The op of this name, where all numbers are asked for; ``part`` (t, threads) writes share t.
    ``out`` may be ``u``."""
    _dense("box_muller", u, out)
    begin, end = (out.size // 2 * t // part[1] * 2 for t in (part[0], part[0] + 1))
    if begin == end:
        return []
    return [bind(normals_of_units, "float32", u, out, scratch(2 * PAIRS), begin, end)]
