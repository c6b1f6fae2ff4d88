"""Numba's means and variances against NumPy's in float64."""

import numpy as np
import pytest
from numba_memory import Memory

pytest.importorskip("numba")

from tensorgraph_numba.kernels import moments
from tensorgraph_numba.native import run

SHAPES = [(2, 16, 5, 5), (3, 1, 4, 4), (1, 33, 1, 1), (700, 5), (1, 3, 7), (4, 20, 12, 13),
          (2, 64, 17, 31), (2, 6, 2, 3, 4), (1, 18)]  # fmt: skip


@pytest.fixture(params=["float32", "float64"])
def memory(request):
    made = Memory(request.param)
    yield made
    made.check()


def values(shape, mean=0.0, std=1.0):
    return np.random.default_rng(0).standard_normal(shape) * std + mean


def found(memory, x, pieces, threads=1):
    """Means and variances from pieces of the batch, shared out among threads."""
    channels = x.shape[1]
    size = moments.moments_size(channels)
    parts = [memory.array(np.full(size, 7.0), dtype="float64") for _ in range(threads)]
    started = set()
    for i, piece in enumerate(pieces):
        t = i % threads
        given = {"accumulate": t in started, "scratch": memory.scratch}
        run(moments.channel_moments(x[piece], parts[t], **given))
        started.add(t)
    average = memory.array(np.full((1, channels, *[1] * (x.ndim - 2)), 7.0))
    variance = memory.array(np.full(channels, 7.0))
    run(moments.merge_moments(parts, average, variance))
    return average.ravel(), variance


def check(memory, x, got, tolerance):
    axes = (0, *range(2, x.ndim))
    average, variance = got
    eps = np.finfo(memory.dtype).eps
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(average, exact.mean(axis=axes), rtol=4 * eps, atol=20 * eps)
    np.testing.assert_allclose(variance, exact.var(axis=axes), rtol=tolerance * eps, atol=eps)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gap", [0, 7])
def test_channel_moments(memory, shape, gap):
    x = memory.images(values(shape), gap)
    check(memory, x, found(memory, x, [slice(None)]), 100)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_pieces_and_threads(memory, threads):
    x = memory.images(values((11, 20, 6, 5)), gap=3)
    pieces = [slice(0, 1), slice(1, 5), slice(5, 5), slice(5, 7), slice(7, 11)]
    check(memory, x, found(memory, x, pieces, threads), 100)


@pytest.mark.parametrize("mean", [1e4, -1e4])
def test_no_cancellation(memory, mean):
    """The exact moments of what the dtype holds: its own rounding of 1e4 is a thousandth."""
    x = memory.images(values((8, 17, 16, 16), mean))
    check(memory, x, found(memory, x, [slice(0, 3), slice(3, 8)]), 300)


def test_no_cancellation_where_the_first_value_is_far_from_the_others(memory):
    x = values((2, 5, 16, 16), 1e4)
    x[0, :, 0, 0] = 0
    x = memory.images(x)
    check(memory, x, found(memory, x, [slice(None)]), 300)


def test_constant_channels_have_no_variance(memory):
    x = memory.images(np.full((3, 4, 5, 5), 0.1))
    average, variance = found(memory, x, [slice(0, 1), slice(1, 3)])
    np.testing.assert_allclose(average, x[0, :, 0, 0], rtol=1e-6)
    assert (variance < 1e-12).all()
    assert (variance >= 0).all()


def test_nothing_has_no_mean_and_nan_stays(memory):
    x = memory.images(np.zeros((2, 3, 4, 4)))
    average, variance = found(memory, x, [slice(0, 0)])
    assert np.isnan(average).all()
    assert np.isnan(variance).all()
    x[1, 2, 3, 3] = np.nan
    average, variance = found(memory, x, [slice(0, 1), slice(1, 2)])
    assert np.isnan(average).tolist() == np.isnan(variance).tolist() == [False, False, True]


@pytest.mark.parametrize("shape, axes", [((7, 1), 1), ((3, 5, 33), 1), ((4, 3, 7), 2), ((16,), 1)])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_row_moments(memory, shape, axes, mean):
    x = memory.array(values(shape, mean))
    kept = (*shape[:-axes], *[1] * axes)
    average, variance = memory.array(np.zeros(kept)), memory.array(np.zeros(kept))
    run(moments.row_moments(x, average, variance, axes=axes))
    over, exact = tuple(range(-axes, 0)), x.astype(np.longdouble)
    eps = np.finfo(memory.dtype).eps
    np.testing.assert_allclose(
        average, exact.mean(axis=over, keepdims=True), rtol=2 * eps, atol=9 * eps
    )
    np.testing.assert_allclose(
        variance, exact.var(axis=over, keepdims=True), rtol=max(40, mean / 20) * eps, atol=eps
    )


def test_what_does_not_fit_is_refused(memory):
    x = memory.images(np.zeros((2, 3, 4, 4)))
    parts, scratch = np.zeros(7), memory.scratch
    with pytest.raises(ValueError, match="channel_moments: takes images"):
        moments.channel_moments(np.zeros((2, 3, 4, 4)), parts, accumulate=False, scratch=scratch)
    with pytest.raises(ValueError, match=r"dense float64\[7\], not float64\[9\]"):
        moments.channel_moments(x, np.zeros(9), accumulate=False, scratch=scratch)
    with pytest.raises(ValueError, match=r"merge_moments: .*\[4\].* 3 channels"):
        moments.merge_moments([parts], np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="row_moments: takes 2 dense rows"):
        moments.row_moments(x[:, :, 0, 0], np.zeros(3), np.zeros(3), axes=1)
