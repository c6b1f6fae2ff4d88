"""The NumPy backend's own kernels against the portable ones."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import special
from tensorgraph_numpy import threads
from tensorgraph_numpy.kernels import KERNELS, linalg, random
from tensorgraph_numpy.layout import from_memory, padded, to_memory
from tensorgraph_ops.pool import Windows
from tensorgraph_ops.random import drop

import tensorgraph as tg
from tensorgraph.errors import ShapeError

examples = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
dtypes = st.sampled_from(["float32", "float64"])
workers = st.sampled_from([1, 2, 3])


@pytest.fixture(autouse=True)
def share_everything(monkeypatch):
    """Even the smallest work is shared, so that small shapes test the shards."""
    monkeypatch.setattr(threads, "WORTH_SHARING", 0.0)


def own(name):
    return next(k for k in KERNELS if k.op == name).run


def both(name, *arrays, threads_used, **parameters):
    """The NumPy kernel's result and the portable one's, which may not have changed their inputs."""
    before = [x.copy() for x in arrays]
    with threads.use_threads(threads_used):
        got = own(name)(*arrays, **parameters)
    for x, y in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, y)
    want = getattr(tg.ops, name).portable(np, *arrays, **parameters)
    assert got.dtype == want.dtype
    tolerance = 2e-4 if got.dtype == "float32" else 1e-11
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def numbers(shape, dtype, seed, layout):
    """Random numbers, in the order (C, …, N) in memory, in that of their shape, or strided."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    if layout == "batch innermost":
        return from_memory(to_memory(x))
    if layout == "strided":
        wide = np.zeros([2 * n for n in shape], dtype)
        wide[tuple(slice(None, None, 2) for _ in shape)] = x
        return wide[tuple(slice(None, None, 2) for _ in shape)]
    return x


layouts = st.sampled_from(["plain", "batch innermost", "strided"])


@st.composite
def convolutions(draw):
    axes = draw(st.integers(1, 3))
    small = {1: 12, 2: 8, 3: 5}[axes]

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    k, stride, dilation = each(1, 4 if axes < 3 else 2), each(1, 3), each(1, 2)
    if draw(st.booleans()):
        k = (1,) * axes  # pointwise filters go a way of their own
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(axes))
    spans = [(m - 1) * d + 1 for m, d in zip(k, dilation)]
    size = tuple(
        draw(st.integers(max(1, r - sum(p)), max(1, r - sum(p)) + small))
        for r, p in zip(spans, padding)
    )
    n, c, f = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
    return (n, c, *size), (f, c, *k), geometry


@examples
@given(convolutions(), dtypes, layouts, workers)
def test_convolutions(problem, dtype, layout, threads_used):
    x_shape, w_shape, geometry = problem
    x, w = numbers(x_shape, dtype, 0, layout), numbers(w_shape, dtype, 1, layout)
    both("conv", x, w, threads_used=threads_used, **geometry)
    y = numbers(own("conv")(x, w, **geometry).shape, dtype, 2, layout)
    both("conv_input", y, w, threads_used=threads_used, size=x_shape[2:], **geometry)
    both("conv_weight", x, y, threads_used=threads_used, size=w_shape[2:], **geometry)


@st.composite
def poolings(draw):
    axes = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    k, stride, dilation = each(1, 4), each(1, 4), each(1, 2)
    padding = tuple(draw(st.integers(0, m // 2)) for m in k)
    size = tuple(
        max(1, (m - 1) * d + 1 - 2 * p) + draw(st.integers(0, 6))
        for m, d, p in zip(k, dilation, padding)
    )
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size)
    windows = {"kernel_size": k, "stride": stride, "padding": padding, "dilation": dilation}
    return shape, {**windows, "ceil_mode": draw(st.booleans())}


@examples
@given(poolings(), dtypes, layouts, workers, st.booleans(), st.booleans())
def test_pooling(problem, dtype, layout, threads_used, equal_ones, include):
    shape, windows = problem
    x = numbers(shape, dtype, 0, layout)
    if equal_ones:
        x = np.round(x)  # several maxima in a window: the first counts
    both("max_pool", x, threads_used=threads_used, **windows)
    spec = tg.Spec(shape, dtype)
    canonical = tg.ops.max_pool.canonicalize(spec, **windows)
    maxima = own("max_pool")(x, **windows)
    made = Windows(**canonical)
    y, v = numbers(maxima.shape, dtype, 1, layout), numbers(shape, dtype, 2, layout)
    both("max_pool_input", y, x, maxima, threads_used=threads_used, windows=made)
    both("max_pool_pick", v, x, maxima, threads_used=threads_used, windows=made)
    del windows["dilation"]
    try:
        sums = tg.ops.avg_pool.portable(np, x, count_include_pad=include, **windows)
    except ShapeError:  # without the dilation there may be no window
        return
    both("avg_pool", x, threads_used=threads_used, count_include_pad=include, **windows)
    undilated = made._replace(dilation=(1,) * len(made.stride))
    shares = {"size": shape[2:], "windows": undilated, "count_include_pad": include}
    y = numbers(sums.shape, dtype, 1, layout)
    both("avg_pool_input", y, threads_used=threads_used, **shares)


@st.composite
def products(draw):
    m, k, n = (draw(st.integers(0, 90)) for _ in range(3))
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    left = [draw(st.sampled_from([1, b])) for b in batch]
    right = [draw(st.sampled_from([1, b])) for b in batch]
    return (*left[draw(st.integers(0, len(left))) :], m, k), (*right, k, n)


@examples
@given(products(), dtypes, layouts, workers)
def test_matrix_products(shapes, dtype, layout, threads_used):
    x, y = (numbers(shape, dtype, i, layout) for i, shape in enumerate(shapes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linalg, "UNTHREADED", 0)
        both("matmul", x, y, threads_used=threads_used)


@examples
@given(st.lists(st.integers(0, 40), max_size=3), st.integers(0, 2**32 - 1), workers)
def test_random_words(shape, seed, threads_used):
    key = np.array([seed, 1, 2, 3], np.uint32)
    with threads.use_threads(threads_used):
        got = own("random_bits")(key, shape=tuple(shape))
    want = tg.ops.random_bits.portable(np, key, shape=tuple(shape))
    np.testing.assert_array_equal(got, want, strict=True)


@examples
@given(st.lists(st.integers(0, 20), min_size=1, max_size=3), st.integers(0, 2**32 - 1), workers)
def test_random_words_of_each_key(shape, seed, threads_used):
    keys = np.random.default_rng(seed).integers(0, 2**32, (shape[0], 4), dtype=np.uint32)
    both("random_bits_each", keys, shape=tuple(shape), threads_used=threads_used)


def test_random_words_from_any_place_of_their_stream(monkeypatch):
    monkeypatch.setattr(random, "PART", 3)
    key = np.array([1, 2, 3, 4], np.uint32)
    stream = tg.ops.random_bits.portable(np, key, shape=(100,))
    for first in range(30):
        for count in (0, 1, 5, 40):
            got = random.words(key, first, count)
            np.testing.assert_array_equal(got, stream[first : first + count])


@examples
@given(st.sampled_from([0.0, 0.1, 0.5, 0.999, 1.0]), dtypes, layouts)
def test_dropout(p, dtype, layout):
    x = numbers((7, 5, 3), dtype, 0, layout)
    x[0] = np.inf  # is dropped all the same
    key = np.array([1, 2, 3, 4], np.uint32)
    with np.errstate(all="ignore"):
        want = drop.portable(np, x, key, p=p)
    np.testing.assert_array_equal(random.drop(x, key, p=p), want, strict=True)


EXTREMES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 88.0, -88.0, -100.0, 1e-40]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["plain", "batch innermost", "strided", "reversed"])
@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (17, 5, 9, 11)])
def test_activations(dtype, layout, shape):
    x = numbers(shape, dtype, 0, layout)
    x *= 10
    if layout == "reversed":
        x = x[:, ::-1]
    x[1, 0].flat[: len(EXTREMES)] = EXTREMES
    with np.errstate(all="raise", under="ignore"):
        relu, sigmoid = own("relu")(x), own("sigmoid")(x)
    np.testing.assert_array_equal(relu, tg.ops.relu.portable(np, x), strict=True)
    with np.errstate(all="ignore"):
        want = special.expit(x.astype("float64")).astype(dtype)
    assert sigmoid.dtype == x.dtype
    limits = np.finfo(dtype)
    np.testing.assert_allclose(sigmoid, want, rtol=8 * limits.eps, atol=limits.tiny)


@examples
@given(st.integers(0, 40), st.integers(1, 12), dtypes, layouts, st.booleans(), st.booleans())
def test_sums_of_columns(rows, columns, dtype, layout, wide, as_row):
    x, shape = numbers((rows, columns), dtype, 0, layout), (1, columns) if as_row else (columns,)
    kernel = next(k for k in KERNELS if k.op == "sum_to")
    if not kernel.supports(tg.Spec(x.shape, dtype), shape=shape):
        assert rows < 2
        return
    both("sum_to", x, threads_used=1, shape=shape)


@examples
@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), dtypes, layouts)
def test_sums_of_all(shape, dtype, layout):
    x, every = numbers(tuple(shape), dtype, 0, layout), tuple(range(len(shape)))
    kernel = next(k for k in KERNELS if k.op == "sum")
    if not kernel.supports(tg.Spec(x.shape, dtype), axis=every, keepdims=False):
        assert x.size < 2
        return
    both("sum", x, threads_used=1, axis=every, keepdims=False)


@examples
@given(
    st.integers(0, 9),
    st.integers(1, 5),
    dtypes,
    st.sampled_from(["mean", "sum", "none"]),
    st.integers(-2, 3),
    st.integers(0, 2**32 - 1),
)
def test_label_losses(n, classes, dtype, reduction, ignored, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, classes)).astype(dtype)
    labels = rng.integers(-2, classes + 1, n)  # some are no class
    if seed % 2:
        labels = labels.clip(0, classes - 1)
    params = {"ignore_index": ignored, "reduction": reduction}
    g = rng.standard_normal(n if reduction == "none" else ()).astype(dtype)
    with np.errstate(all="raise"):
        both("label_cross_entropy", x, labels, threads_used=1, **params)
        both("label_cross_entropy_input", g, x, labels, threads_used=1, **params)


def test_every_kernel_is_compared_with_the_portable_one():
    compared = """
        avg_pool avg_pool_input conv conv_input conv_weight drop label_cross_entropy
        label_cross_entropy_input matmul max_pool max_pool_input max_pool_pick random_bits
        random_bits_each relu sigmoid sum sum_to
    """.split()  # noqa: SIM905
    assert {k.op for k in KERNELS} == set(compared)


def test_gradients_of_infinite_numbers_go_to_the_maximum_alone():
    x = tg.tensor([[[1.0, 3.0, 2.0, 0.0]]], requires_grad=True)
    tg.ops.max_pool(x, kernel_size=2).backward(tg.tensor([[[np.inf, np.nan]]], dtype="float32"))
    np.testing.assert_array_equal(x.grad.numpy(), [[[0, np.inf, np.nan, 0]]])


def test_results_are_not_overwritten_by_later_calls():
    x, w = np.ones((2, 3, 6, 6), "float32"), np.ones((4, 3, 3, 3), "float32")
    geometry = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    first = own("conv")(x, w, **geometry)
    own("conv")(x * 5, w, **geometry)
    assert (first == 27).all()


@pytest.mark.parametrize("threads_used", [1, 2])
def test_large_batches_are_turned_by_way_of_small_blocks(threads_used):
    x = np.arange(40 * 3 * 37 * 31, dtype="float64").reshape(40, 3, 37, 31)
    assert x.size >= 1 << 17
    with threads.use_threads(threads_used):
        m = to_memory(x)
    assert m.flags.c_contiguous
    np.testing.assert_array_equal(m, x.transpose(1, 2, 3, 0))
    np.testing.assert_array_equal(from_memory(m), x)


def test_what_lies_right_already_is_not_copied():
    m = np.zeros((3, 4, 5, 2))
    assert np.shares_memory(padded(from_memory(m), ((0, 0), (0, 0))), m)
