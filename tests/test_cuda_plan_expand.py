"""What plans make of calls that have no launch function of their own: compiled for the emulated
device beside eager NumPy, values and gradients, all of it within one graph."""

import numpy as np
import pytest
from op_steps import rolled
from test_cuda_plan import available, emulated  # noqa: F401

import tensorgraph as tg

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
ops = tg.ops


def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def integers(n, *shape):
    return np.random.default_rng(1).integers(-n, n, shape)


def of_classes(*shape):
    return np.random.default_rng(1).integers(0, 5, shape)


X = numbers(4, 5, 3, 6)
ONES = np.ones(5, np.float32)
CASES = {
    "rows": (lambda x, i: x[i], X, integers(4, 7)),
    "an axis in the middle": (lambda x, i: x[:, i], X, integers(5, 2, 3)),
    "the last axis, a slice": (lambda x, i: x[1:, ::2, :, i], X, integers(6, 4)),
    "two axes beside each other": (lambda x, i, j: x[:, i, j], X, integers(5, 7), integers(3, 1)),
    "two axes apart": (lambda x, i, j: x[i, :, j], X, integers(4, 3, 1), integers(3, 2)),
    "a new axis": (lambda x, i: x[:, None, i], X, integers(5, 2)),
    "all axes": (lambda x, i: ops.take_along_axis(x, i, axis=1), X[:, :, 0, 0], integers(5, 4, 2)),
    "of a matrix": (lambda x, i: ops.embedding(i, x), numbers(9, 70), integers(9, 3, 4)),
    "slices alone": (lambda x: x[:, ::-2, 1:, 3], X),
    "sum of the middle": (lambda x: ops.sum(x, axis=(0, 2)), X),
    "sum of nothing": (lambda x: ops.sum(x[:1, :1], axis=(0, 1)) * 2, X),
    "sum of images' channels": (lambda x: ops.sum(x, axis=1) * x[:, 0], X),
    "sum of rows": (lambda x: ops.sum(x, axis=(0, 1, 2)), X),
    "largest": (lambda x: ops.max(x, axis=(1, 3)), X),
    "largest of one number": (lambda x: ops.max(x), X[0, 0, 0, 0]),
    "beside a view of itself": (
        lambda x: (y := ops.exp(x)) * ops.reshape(ops.reshape(y, shape=(20,)), shape=(4, 5)),
        numbers(4, 5),
    ),
    "logsumexp": (lambda x: ops.logsumexp(x, axis=2), X),
    "softmax over rows": (lambda x: ops.softmax(x, axis=2), X),
    "log_softmax over samples": (lambda x: ops.log_softmax(x, axis=0), X),
    "losses of pixels": (ops.cross_entropy, X, of_classes(4, 3, 6)),
    "a loss for each pixel": (
        lambda x, y: ops.cross_entropy(x, y, reduction="none") * x[:, 0], X, of_classes(4, 3, 6),
    ),
    "smooth losses": (
        lambda x, y: ops.cross_entropy(x, y, label_smoothing=0.2), X, of_classes(4, 3, 6),
    ),
    "layer_norm": (
        lambda x, w, b: ops.layer_norm(x, w, b, normalized_shape=6), X, *numbers(2, 6),
    ),
    "images between pixels": (
        lambda x, r, c: ops.resample(x, r, c), numbers(2, 3, 5, 4),
        3 * np.random.default_rng(2).random((2, 3, 2), np.float32),
        3 * np.random.default_rng(3).random((2, 3, 2), np.float32),
    ),
    "volumes between pixels": (
        lambda x, r: ops.resample(x, r, r * 0.5), numbers(2, 2, 3, 5, 4),
        3 * np.random.default_rng(2).random((2, 3, 2), np.float32),
    ),
}  # fmt: skip
EXACT = {
    "where the largest is": (lambda x: ops.argmax(x, axis=1), X.round()),
    "where the smallest is, of two axes": (
        lambda x: ops.argmin(x, axis=(1, 3), keepdims=True), X.round(),
    ),
    "any": (lambda x: ops.any(x > 1.5, axis=(0, 2)), X),
    "all": (lambda x: ops.all(x > -1.5, axis=1, keepdims=True), X),
    "order": (lambda x: ops.argsort(x, axis=1), X.round()),
    "order of integers": (lambda i: ops.argsort(i), integers(9, 3, 40)),
    "words": (lambda k: ops.random_bits(k, shape=(3, 2, 5)), np.arange(4, dtype=np.uint32)),
    "words of each": (
        lambda k: ops.random_bits_each(k, shape=(2, 3, 4, 2)),
        np.arange(8, dtype=np.uint32).reshape(2, 4),
    ),
}  # fmt: skip


def both(step, arrays):
    """The step eagerly on NumPy, and compiled: by itself, then as a graph on other numbers, of
    which nothing may be left."""
    with tg.use(backend="numpy"):
        want = [x.numpy() for x in step(*map(tg.tensor, arrays))]
    with tg.use(backend="cupy"):
        compiled = tg.compile(step)
        for given in (arrays, rolled(arrays), arrays):
            found = [x.numpy() for x in compiled(*map(tg.tensor, given))]
        runner = compiled.plan.runner
    assert all(task.captured for task in runner.planner.tasks), str(compiled.plan)
    return want, found


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(emulated, name):  # noqa: F811
    call, *arrays = CASES[name]

    def step(*tensors):
        floating = [x for x in tensors if x.dtype == "float32"]
        for x in floating:
            x.requires_grad = True
        out = call(*tensors)
        return out, *tg.grad((out * out).sum(), floating)

    for want, found in zip(*both(step, arrays), strict=True):
        assert want.shape == found.shape
        np.testing.assert_allclose(found, want, 1e-5, 1e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", EXACT)
def test_positions_and_words(emulated, name):  # noqa: F811
    call, *arrays = EXACT[name]
    for want, found in zip(*both(lambda *xs: [call(*xs)], arrays), strict=True):
        assert want.dtype == found.dtype
        np.testing.assert_array_equal(found, want)


def test_normal_numbers(emulated):  # noqa: F811
    key = np.arange(8, dtype=np.uint32).reshape(2, 4)
    for size in ((2, 5), (2, 3, 3, 2)):
        want, found = both(lambda k, size=size: [ops.normal(size, key=k)], [key])
        np.testing.assert_allclose(found[0], want[0], 1e-5, 1e-6)


def test_what_is_infinite_or_no_number(emulated):  # noqa: F811
    x = np.full((5, 3, 4), -np.inf, np.float32)
    x[1], x[2, 0], x[3], x[4, :, 1] = np.inf, 1, np.nan, 2
    for call in (ops.logsumexp, ops.max):
        (want,), (found,) = both(lambda x, call=call: [call(x, axis=1)], [x])
        np.testing.assert_array_equal(found, want)
