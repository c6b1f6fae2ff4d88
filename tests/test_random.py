"""Random numbers: published vectors, distributions, streams, and who owns the key."""

import math

import numpy as np
import pytest
from scipy import stats
from tensorgraph_ops.random import philox

import tensorgraph as tg
from tensorgraph.errors import DtypeError, ShapeError

N = 40_000

# Random123's kat_vectors: counter, key and result of philox4x32-10
PUBLISHED = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def key(*words):
    return tg.tensor(np.array(words, np.uint32))


@pytest.mark.parametrize(("counter", "seed", "want"), PUBLISHED)
def test_philox_gives_the_published_words(backend, counter, seed, want):
    low, high, *stream = [int(word, 16) for word in counter.split()]
    words = tg.tensor(np.array([*(int(w, 16) for w in seed.split()), *stream], np.uint32))
    blocks = tg.tensor(np.array([high << 32 | low], np.uint64))
    out = philox(backend.xp, words.data, blocks.data)
    assert [f"{word:08x}" for word in backend.to_host(out)[0]] == want.split()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "options", "distribution"),
    [
        ("uniform", {}, stats.uniform()),
        ("uniform", {"low": -3.0, "high": 5.0}, stats.uniform(-3, 8)),
        ("normal", {}, stats.norm()),
        ("normal", {"mean": 2.0, "std": 0.5}, stats.norm(2, 0.5)),
    ],
)
def test_distribution(backend, name, options, distribution, dtype):
    x = getattr(tg.ops, name)((N,), dtype=dtype, key=key(1, 2, 3, 4), **options).numpy()
    assert x.dtype == dtype
    assert stats.kstest(x, distribution.cdf).pvalue > 0.01
    neighbours = stats.pearsonr(x[:-1], x[1:])
    assert neighbours.pvalue > 0.01, "neighbouring numbers are correlated"


def test_uniform_uses_all_its_bits_and_stays_below_one(backend):
    for dtype, bits in (("float32", 24), ("float64", 53)):
        ones = tg.tensor(np.full((1, 2), 2**32 - 1, np.uint32))
        largest = tg.ops.unit_interval(ones, dtype=dtype).numpy().ravel()[0]
        assert float(largest) == 1 - 2**-bits
        u = tg.ops.uniform((N,), dtype=dtype, key=key(7, 0, 0, 0)).numpy().astype(np.float64)
        scaled = u * 2**bits
        assert (scaled == np.floor(scaled)).all()
        assert (scaled % 2).mean() == pytest.approx(0.5, abs=0.02), "the last bit is never set"
        assert u.min() >= 0


def test_normal_is_finite_where_the_uniform_number_is_extreme(backend):
    for u in (0.0, 1 - 2**-24):
        z = tg.ops.box_muller(tg.tensor(np.array([[u, 0.25]], np.float32)), shape=(2,)).numpy()
        assert np.isfinite(z).all()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_bernoulli_frequency(backend, p):
    drawn = tg.ops.bernoulli((N,), p=p, key=key(5, 0, 1, 0))
    assert drawn.dtype == "bool"
    count = int(drawn.numpy().sum())
    assert stats.binomtest(count, N, p).pvalue > 0.01
    assert tg.ops.bernoulli((3,), p=p, dtype="float32").dtype == "float32"


def test_permutation_is_one_and_each_is_as_likely(backend):
    assert sorted(tg.ops.permutation(1000).numpy()) == list(range(1000))
    assert tg.ops.permutation(0).shape == (0,)
    assert tg.ops.permutation(1).numpy().tolist() == [0]
    found = [tuple(tg.ops.permutation(3, key=key(i, 0, 0, 0)).numpy()) for i in range(1200)]
    counts = [found.count(order) for order in set(found)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


def test_the_same_seed_gives_the_same_numbers_and_streams_differ(backend):
    def drawn():
        return [tg.ops.uniform((8,)).numpy(), tg.ops.normal((8,)).numpy(), tg.ops.permutation(50)]

    tg.seed(3)
    first = drawn()
    more = tg.ops.uniform((8,)).numpy()
    tg.seed(3)
    for a, b in zip(first, drawn(), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert not np.array_equal(first[0], more), "two calls shared a stream"
    tg.seed(4)
    assert not np.array_equal(first[0], tg.ops.uniform((8,)).numpy())


@pytest.mark.parametrize("word", range(4))
def test_each_word_of_the_key_matters(backend, word):
    words = [11, 12, 13, 14]
    one = tg.ops.random_bits(key(*words), shape=(N,)).numpy()
    words[word] += 1
    other = tg.ops.random_bits(key(*words), shape=(N,)).numpy()
    assert (one == other).mean() < 0.001


@pytest.mark.parametrize("name", ["uniform", "normal", "bernoulli"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_larger_shape_continues_the_stream(backend, name, dtype):
    options = {"p": 0.4} if name == "bernoulli" else {}
    options.update(dtype=dtype, key=key(1, 0, 0, 0))
    op = getattr(tg.ops, name)
    few, many = op((7,), **options).numpy(), op((2, 70_000), **options).numpy()
    np.testing.assert_array_equal(few, many.ravel()[:7])
    assert not np.array_equal(many[0], many[1])


def test_dropout_scales_what_it_keeps(backend):
    tg.seed(0)
    x = tg.tensor(np.full((200, 200), 3.0, np.float32), requires_grad=True)
    out = tg.ops.dropout(x, p=0.25)
    assert set(np.unique(out.numpy())) == {0.0, 4.0}
    kept = int((out.numpy() > 0).sum())
    assert stats.binomtest(kept, x.size, 0.75).pvalue > 0.01
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), out.numpy() / 3, rtol=1e-6)
    assert not np.array_equal(tg.ops.dropout(x, p=0.25).numpy(), out.numpy())


def test_dropout_of_nothing_and_of_all(backend):
    x = tg.tensor([1.0, math.inf, 3.0], requires_grad=True)
    assert tg.ops.dropout(x, p=0) is x
    assert tg.ops.dropout(x, p=0.9, training=False) is x
    out = tg.ops.dropout(x, p=1)
    assert out.numpy().tolist() == [0, 0, 0]
    out.sum().backward()
    assert x.grad.numpy().tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tg.ops.uniform((2, -1)), ShapeError, ["uniform", "[2, -1]"]),
        (lambda: tg.ops.uniform(2, low=2.0, high=1.0), ShapeError, ["2.0", "1.0", "swap"]),
        (lambda: tg.ops.uniform(2, dtype="int64"), DtypeError, ["int64", "cast"]),
        (lambda: tg.ops.normal(2, std=-1.0), ShapeError, ["normal", "-1.0"]),
        (lambda: tg.ops.bernoulli(2, p=1.5), ShapeError, ["bernoulli", "1.5", "from 0 to 1"]),
        (lambda: tg.ops.dropout(tg.tensor([1.0]), p=-0.1), ShapeError, ["dropout", "-0.1"]),
        (lambda: tg.ops.permutation(-3), ShapeError, ["permutation", "-3"]),
        (lambda: tg.ops.uniform(2, key=tg.tensor([1, 2])), DtypeError, ["int64[2]", "uint32[4]"]),
    ],
)
def test_errors_name_the_values_and_the_way_out(backend, call, error, words):
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
