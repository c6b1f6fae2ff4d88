"""Numba's softmax, losses of labels and reductions of rows against SciPy and float64."""

import numpy as np
import pytest
from numba_memory import Memory
from scipy import special

import tensorgraph as tg

pytest.importorskip("numba")

from tensorgraph_numba.kernels import label_loss, rows
from tensorgraph_numba.native import run

SHAPES = [(1, 1), (7, 2), (64, 10), (3, 16), (5, 17), (4, 33), (2, 1000), (1, 32)]


@pytest.fixture(params=["float32", "float64"])
def memory(request):
    made = Memory(request.param)
    yield made
    made.check()


def scores(shape, scale=4.0):
    return np.random.default_rng(0).standard_normal(shape) * scale


def close(got, want, ulps=8.0):
    tolerance = ulps * np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shift", [0.0, 3e4, -3e4])
def test_softmax(memory, shape, shift):
    x = memory.array(scores(shape) + shift, gap=0)
    out = memory.array(np.full(shape, 7.0))
    run(rows.softmax(x, out))
    close(out, special.softmax(x.astype(float), axis=-1))
    run(rows.log_softmax(x, out))
    close(out, special.log_softmax(x.astype(float), axis=-1), 40 if shape[1] > 100 else 16)
    want = special.softmax(x.astype(float), axis=-1)
    run(rows.softmax(x, x))
    close(x, want)


@pytest.mark.parametrize("shape", [(2, 10, 3, 4), (3, 5, 7), (1, 20, 2, 2, 2), (6, 3, 1)])
def test_softmax_over_the_channels_of_images(memory, shape):
    x, out = memory.images(scores(shape), gap=5), memory.images(np.zeros(shape), gap=2)
    run(rows.softmax(x, out, axis=1))
    close(out, special.softmax(x.astype(float), axis=1))
    labels = memory.array(
        np.random.default_rng(1).integers(0, shape[1], (shape[0], *shape[2:])), dtype="int64"
    )
    losses = memory.array(np.zeros(labels.shape))
    given = {"ignore_index": 1, "reduction": "none"}
    run(label_loss.label_cross_entropy(x, labels, losses, **given))
    want = tg.ops.label_cross_entropy.portable(np, x.astype(float), labels, **given)
    close(losses, want, 32)
    g = memory.array(scores(labels.shape))
    run(label_loss.label_cross_entropy_input(g, x, labels, out, **given))
    want = tg.ops.label_cross_entropy_input.portable(np, g, x.astype(float), labels, **given)
    close(out, want, 32)


def test_powers_are_exact_to_two_units_in_the_last_place(memory):
    """The softmax of (0, -t) is (1, e ** -t) / (1 + e ** -t)."""
    t = np.linspace(0, 87, 20011)
    x = memory.array(np.stack([0 * t, -t], axis=1))
    run(rows.softmax(x, x2 := memory.array(np.zeros(x.shape))))
    t = -x[:, 1].astype(float)
    want = np.exp(-t) / (1 + np.exp(-t))
    assert (abs(x2[:, 1] - want) / want).max() < 3 * np.finfo(memory.dtype).eps


def test_extremes_of_numbers(memory):
    x = scores((8, 20))
    x[0, 3], x[1, :], x[2, 7], x[3, 1:] = np.nan, -np.inf, np.inf, -np.inf
    x[4], x[5], x[6, 4] = 3e38, -3e38, -np.inf
    x = memory.array(x)
    out = memory.array(np.zeros(x.shape))
    for name in ("softmax", "log_softmax"):
        run(getattr(rows, name)(x, out))
        with np.errstate(all="ignore"):
            want = getattr(tg.ops, name).portable(np, x.astype(float), axis=1)
        close(out, want, 16)
        assert np.isnan(out[:3]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_reductions(memory, shape):
    x = np.random.default_rng(0).integers(-3, 4, shape).astype(float)
    x[0, -1] = x[-1, 0] = 4
    x = memory.array(x)
    out = memory.array(np.zeros(shape[0]))
    places = memory.array(np.zeros(shape[0]), dtype="int64")
    for name, to in (("max", out), ("sum", out), ("argmax", places)):
        run(getattr(rows, f"row_{name}")(x, to))
        np.testing.assert_array_equal(to, getattr(np, name)(x, axis=1))


def test_reductions_over_channels_and_of_nan(memory):
    x = scores((2, 18, 3, 5))
    x[0, 5, 1, 1] = x[0, 9, 1, 1] = np.nan
    x[1, :, 0, 0] = -np.inf
    x = memory.images(x, gap=3)
    out, places = (
        memory.array(np.zeros((2, 3, 5))),
        memory.array(np.zeros((2, 3, 5)), dtype="int64"),
    )
    run(rows.row_max(x, out, axis=1))
    np.testing.assert_array_equal(out, x.max(axis=1))
    run(rows.row_argmax(x, places, axis=1))
    np.testing.assert_array_equal(places, x.argmax(axis=1))
    run(rows.row_sum(x, out, axis=1))
    close(out[0], x[0].astype(float).sum(axis=0), 32)


@pytest.mark.parametrize("shape", [*SHAPES, (5,)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_label_cross_entropy(memory, shape, reduction):
    classes = shape[-1]
    labels = np.random.default_rng(1).integers(0, classes, shape[:-1])
    labels.flat[::3], labels.flat[::5] = -100, min(1, classes - 1)
    labels = memory.array(labels, dtype="int64") if labels.ndim else labels
    x = memory.array(scores(shape))
    given = {"ignore_index": -100, "reduction": reduction}
    want = tg.ops.label_cross_entropy.portable(np, x.astype(float), labels, **given)
    out = memory.array(np.full(want.shape or (1,), 7.0)).reshape(want.shape)
    run(label_loss.label_cross_entropy(x, labels, out, **given))
    close(out, want, 16)
    if reduction == "sum":
        run(label_loss.label_cross_entropy(x, labels, out, **given, accumulate=True))
        close(out, 2 * want, 16)
    g = memory.array(np.full(want.shape or (1,), 0.75)).reshape(want.shape)
    gradient = memory.array(np.full(shape, 7.0))
    run(label_loss.label_cross_entropy_input(g, x, labels, gradient, **given))
    want = tg.ops.label_cross_entropy_input.portable(np, g, x.astype(float), labels, **given)
    close(gradient, want)
    assert (gradient[labels == -100] == 0).all()


@pytest.mark.parametrize("bad", [-1, 10, 2**40])
def test_a_label_that_is_no_class(memory, bad):
    x = memory.array(scores((4, 10)))
    labels = memory.array([3, bad, 5, 1], dtype="int64")
    out = memory.array(np.zeros(4))
    run(label_loss.label_cross_entropy(x, labels, out, ignore_index=5, reduction="none"))
    assert np.isnan(out).tolist() == [False, True, False, False]
    assert out[2] == 0
    total = memory.array(np.zeros(1)).reshape(())
    run(label_loss.label_cross_entropy(x, labels, total, ignore_index=5, reduction="mean"))
    assert np.isnan(total)
    gradient = memory.array(np.full((4, 10), 7.0))
    g = memory.array(np.ones(1)).reshape(())
    given = {"ignore_index": 5, "reduction": "mean"}
    run(label_loss.label_cross_entropy_input(g, x, labels, gradient, **given))
    want = tg.ops.label_cross_entropy_input.portable(np, g, x.astype(float), labels, **given)
    close(gradient, want)
    assert (gradient[1:3] == 0).all()


def test_the_mean_of_nothing_is_nan(memory):
    x, labels = memory.array(scores((3, 4))), memory.array([7, 7, 7], dtype="int64")
    out = memory.array(np.zeros(1)).reshape(())
    run(label_loss.label_cross_entropy(x, labels, out, ignore_index=7, reduction="mean"))
    assert np.isnan(out)
    run(label_loss.label_cross_entropy(x[:0], labels[:0], out, ignore_index=7, reduction="sum"))
    assert out == 0


def test_what_does_not_fit_is_refused(memory):
    x = memory.array(np.zeros((4, 6)))
    labels = memory.array(np.zeros(4), dtype="int64")
    with pytest.raises(ValueError, match="whose axis -1 is contiguous"):
        rows.softmax(x[:, ::2], x[:, ::2])
    with pytest.raises(ValueError, match="whose axis 0 is contiguous"):
        rows.softmax(x, x, axis=0)
    with pytest.raises(ValueError, match="no elements along axis 1"):
        rows.row_max(x[:, :0], x[:, 0], axis=1)
    with pytest.raises(ValueError, match=r"is not dense int64\[4\]"):
        given = {"ignore_index": 0, "reduction": "none"}
        label_loss.label_cross_entropy(x, labels.astype("int32"), x[:, 0], **given)
    with pytest.raises(ValueError, match=r"float.*\[2, 6\] .* not of the shape and dtype"):
        rows.softmax(x, x[:2])


@pytest.mark.parametrize("ignored", [-100, 0, 7])
@pytest.mark.parametrize("shape", [(1,), (64,), (3, 5, 2), (1000,)])
def test_label_share(memory, shape, ignored):
    labels = np.random.default_rng(2).integers(0, 9, shape)
    labels.flat[0] = 1
    out = memory.array(np.zeros(1)).reshape(())
    given = memory.array(labels, dtype="int64")
    run(label_loss.label_share(given, out, ignore_index=ignored))
    close(out, 1 / sum(label != ignored for label in labels.ravel().tolist()), 1)
    given[...] = ignored
    run(label_loss.label_share(given, out, ignore_index=ignored))
    assert np.isposinf(out), "and the mean of no losses, 0 * infinity, is NaN"
