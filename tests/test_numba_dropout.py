"""Numba's random words and dropout: the same bits as the portable kernels, piece by piece."""

import numpy as np
import pytest
from numba_memory import Memory

import tensorgraph as tg

pytest.importorskip("numba")

from tensorgraph_numba.kernels.dropout import drop, random_bits
from tensorgraph_numba.native import run

KEY = np.array([0x12345678, 0x9ABCDEF0, 0xFFFFFFFF, 3], "uint32")


@pytest.fixture(params=["float32", "float64"])
def memory(request):
    made = Memory(request.param)
    yield made
    made.check()


def values(shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("size", [1, 3, 31, 32, 33, 1023, 1025, 5000])
@pytest.mark.parametrize("first", [0, 1, 6, 1027])
def test_random_bits(size, first):
    memory = Memory("float32")
    out = memory.array(np.zeros(size), dtype="uint32")
    run(random_bits(KEY, out, first=first, scratch=memory.scratch))
    want = tg.ops.random_bits.portable(np, KEY, shape=(first + size,))[first:]
    np.testing.assert_array_equal(out, want)
    memory.check()


def test_known_words():
    """The published words of Philox4x32-10 for a key and a counter of 0 (Random123)."""
    memory = Memory("float32")
    out = memory.array(np.zeros(4), dtype="uint32")
    key = memory.array(np.zeros(4), dtype="uint32")
    run(random_bits(key, out, first=0, scratch=memory.scratch))
    assert [hex(w) for w in out] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


@pytest.mark.parametrize("shape", [(128, 37), (1, 5), (3, 4, 5), (2100,), (40, 33, 1, 1)])
@pytest.mark.parametrize("p", [0.3, 0.5, 0.999])
def test_dense_arrays(memory, shape, p):
    x = memory.array(values(shape))
    want = tg.ops.drop.portable(np, x, KEY, p=p)
    out = memory.array(np.full(shape, 7.0))
    run(drop(x, KEY, out, p=p, first=0, scratch=memory.scratch))
    np.testing.assert_array_equal(out, want)
    run(drop(x, KEY, x, p=p, first=0, scratch=memory.scratch))
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize(
    "shape",
    [(3, 16, 5, 5), (2, 33, 4, 7), (2, 6, 14, 14), (2, 48, 3, 3), (3, 1, 5, 5), (3, 20, 1, 1),
     (2, 17, 40), (1, 5, 2, 3, 4)],
)  # fmt: skip
@pytest.mark.parametrize("gap", [0, 11])
def test_images_in_pieces(memory, shape, gap):
    """A piece of the batch has the words that its elements have in the whole."""
    x = values(shape).astype(memory.dtype)
    want = tg.ops.drop.portable(np, x, KEY, p=0.25)
    x, out = memory.images(x, gap), memory.images(np.full(shape, 7.0), gap)
    size = x[0].size
    for begin, end in ((0, 1), (1, len(x))):
        part = slice(begin, end)
        first = begin * size
        run(drop(x[part], KEY, out[part], p=0.25, first=first, scratch=memory.scratch))
    np.testing.assert_array_equal(out, want)
    run(drop(x, KEY, x, p=0.25, first=0, scratch=memory.scratch))
    np.testing.assert_array_equal(x, want)


def test_the_key_is_read_when_the_call_runs(memory):
    x, key = memory.array(values((9, 9))), memory.array(KEY, dtype="uint32")
    out = memory.array(np.zeros((9, 9)))
    calls = drop(x, key, out, p=0.5, first=0, scratch=memory.scratch)
    run(calls)
    before = out.copy()
    key[3] += 1
    run(calls)
    np.testing.assert_array_equal(out, tg.ops.drop.portable(np, x, key, p=0.5))
    assert (out != before).any()


@pytest.mark.parametrize("place", [0, 33, 70])
@pytest.mark.parametrize("above", [0, 1])
def test_the_bound_is_exact(memory, place, above):
    """An element is kept up to a word of exactly the bound."""
    word = int(tg.ops.random_bits.portable(np, KEY, shape=(place + 1,))[place])
    p = 1 - (word + above) / 2**32
    assert round((1 - p) * 2**32) == word + above
    x = memory.array(np.ones(71))
    run(drop(x, KEY, x, p=p, first=0, scratch=memory.scratch))
    assert bool(x[place]) == bool(above)


def test_dropped_infinities_are_zeros(memory):
    x = memory.array(np.array([np.inf, np.nan, 1.0] * 30))
    out = memory.array(np.zeros(90))
    run(drop(x, KEY, out, p=0.5, first=0, scratch=memory.scratch))
    np.testing.assert_array_equal(out, tg.ops.drop.portable(np, x, KEY, p=0.5))
    run(drop(x, KEY, out, p=1.0, first=0, scratch=memory.scratch))
    assert (out == 0).all()


def test_what_does_not_fit_is_refused(memory):
    x = memory.array(np.zeros((4, 6)))
    given = {"p": 0.5, "first": 0, "scratch": memory.scratch}
    with pytest.raises(ValueError, match=r"a key is uint32\[4\], without gaps, not int64\[4\]"):
        drop(x, KEY.astype("int64"), x, **given)
    with pytest.raises(ValueError, match="not the shape and dtype"):
        drop(x, KEY, x[:2], **given)
    with pytest.raises(ValueError, match="dense arrays or images with channels innermost"):
        drop(x[:, ::2], KEY, x[:, ::2], **given)
    with pytest.raises(ValueError, match="writes dense uint32"):
        random_bits(KEY, x, first=0, scratch=memory.scratch)
