"""Numba's pooling kernels against the portable kernels in float64."""

import numpy as np
import pytest
from numba_memory import Memory

import tensorgraph as tg

pytest.importorskip("numba")

from tensorgraph_numba.kernels import pool
from tensorgraph_numba.native import run
from tensorgraph_ops.pool import Windows, window_axes

CASES = [
    # images, kernel_size, stride, padding, dilation, ceil_mode
    ((2, 6, 8, 10), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((1, 1, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((3, 17, 5, 7), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 33, 5, 7), (2, 2), (2, 2), (0, 0), (1, 1), True),
    ((2, 5, 9, 8), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((1, 64, 6, 6), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((2, 3, 6, 7), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ((1, 16, 9, 11), (3, 2), (4, 3), (1, 0), (2, 3), False),
    ((1, 3, 12, 9), (5, 4), (3, 5), (2, 2), (1, 1), True),
    ((1, 2, 2, 3), (2, 1), (1, 1), (1, 0), (3, 1), False),  # windows that meet padding alone
    ((2, 4, 7, 7), (1, 1), (3, 2), (0, 0), (1, 1), False),
    ((3, 5, 11), (3,), (2,), (1,), (1,), False),
    ((1, 20, 1), (1,), (1,), (0,), (1,), False),
    ((2, 3, 5, 6, 7), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 2, 1), False),
    ((1, 18, 4, 4, 4), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1), False),
    ((1, 2, 5, 4, 3), (3, 3, 3), (1, 2, 3), (1, 1, 1), (1, 1, 1), True),
]


@pytest.fixture(params=["float32", "float64"])
def memory(request):
    made = Memory(request.param)
    yield made
    made.check()


def values(shape, seed=0, distinct=40):
    """Few enough different numbers that windows have equal maxima."""
    return np.random.default_rng(seed).integers(-distinct, distinct, shape) / 8.0


def close(got, want):
    tolerance = 1e-5 if got.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def pooled_shape(x, windows):
    return (*x.shape[:2], *[axis.reach for axis in window_axes("max_pool", x, windows)])


@pytest.mark.parametrize("shape, k, stride, padding, dilation, ceil_mode", CASES)
def test_max_pool(memory, shape, k, stride, padding, dilation, ceil_mode):
    windows = Windows(k, stride, padding, dilation, ceil_mode)
    x = memory.images(values(shape, distinct=4), gap=3)
    want = tg.ops.max_pool.portable(np, x.astype(float), **windows._asdict())
    out = memory.images(np.full(want.shape, 7.0), gap=5)
    run(pool.max_pool(x, out, windows=windows, scratch=memory.scratch))
    np.testing.assert_array_equal(out, want)
    y = memory.images(values(want.shape, 1), gap=2)
    gradient = memory.images(np.full(shape, 7.0), gap=1)
    run(pool.max_pool_input(y, x, out, gradient, windows=windows, scratch=memory.scratch))
    close(gradient, tg.ops.max_pool_input.portable(np, y, x, out, windows=windows))
    v = memory.images(values(shape, 2), gap=2)
    picked = memory.images(np.full(want.shape, 7.0), gap=5)
    run(pool.max_pool_pick(v, x, out, picked, windows=windows))
    close(picked, tg.ops.max_pool_pick.portable(np, v, x, out, windows=windows))


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize(
    "shape, k, stride, padding, dilation, ceil_mode", [c for c in CASES if set(c[4]) == {1}]
)
def test_avg_pool(memory, shape, k, stride, padding, dilation, ceil_mode, count_include_pad):
    windows = Windows(k, stride, padding, dilation, ceil_mode)
    given = {**windows._asdict(), "count_include_pad": count_include_pad}
    del given["dilation"]
    x = memory.images(values(shape), gap=3)
    want = tg.ops.avg_pool.portable(np, x.astype(float), **given)
    out = memory.images(np.full(want.shape, 7.0), gap=5)
    options = {"windows": windows, "count_include_pad": count_include_pad}
    run(pool.avg_pool(x, out, **options, scratch=memory.scratch))
    close(out, want)
    y = memory.images(values(want.shape, 1), gap=2)
    gradient = memory.images(np.full(shape, 7.0), gap=1)
    run(pool.avg_pool_input(y, gradient, **options, scratch=memory.scratch))
    want = tg.ops.avg_pool_input.portable(np, y.astype(float), size=shape[2:], **options)
    close(gradient, want)


@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (1, 33, 7), (3, 16, 2, 3, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_sums_over_the_spatial_axes(memory, shape, keepdims):
    x = memory.images(values(shape), gap=4)
    axes = tuple(range(2, len(shape)))
    want = np.sum(x, axis=axes, keepdims=keepdims, dtype=float) * 0.5
    out = memory.array(np.zeros(want.shape))
    run(pool.spatial_sum(x, out, scale=0.5, scratch=memory.scratch))
    close(out, want)
    run(pool.spatial_spread(out, x, scale=3.0, scratch=memory.scratch))
    close(x, np.broadcast_to(3 * want.reshape(*shape[:2], *[1] * len(axes)), shape))


def test_nan_is_a_maximum_and_gets_no_gradient(memory):
    x = values((1, 3, 4, 4))
    x[0, 1, 1, 1], x[0, 2, 3, 0], x[0, 0, :2, :2] = np.nan, np.nan, -np.inf
    x = memory.images(x)
    windows = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
    out = memory.images(np.zeros((1, 3, 2, 2)))
    run(pool.max_pool(x, out, windows=windows, scratch=memory.scratch))
    assert np.argwhere(np.isnan(out)).tolist() == [[0, 1, 0, 0], [0, 2, 1, 0]]
    assert out[0, 0, 0, 0] == -np.inf
    y, gradient = memory.images(np.ones((1, 3, 2, 2))), memory.images(np.zeros((1, 3, 4, 4)))
    run(pool.max_pool_input(y, x, out, gradient, windows=windows, scratch=memory.scratch))
    want = tg.ops.max_pool_input.portable(np, y, x, out, windows=windows)
    np.testing.assert_array_equal(gradient, want)
    assert gradient[0, 1, :2, :2].sum() == 0
    assert gradient[0, 0, 0, 0] == 1


def test_other_layouts_and_shapes_are_refused():
    windows = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
    memory = Memory("float32")
    x, out = np.zeros((2, 3, 4, 4), "float32"), memory.images(np.zeros((2, 3, 2, 2)))
    with pytest.raises(ValueError, match=r"max_pool: takes images .* strides \(192, 64, 16, 4\)"):
        pool.max_pool(x, out, windows=windows, scratch=memory.scratch)
    x = memory.images(np.zeros((2, 3, 6, 4)))
    with pytest.raises(ValueError, match=r"windows of float32\[2, 3, 6, 4\] .* \[2, 3, 3, 2\] for"):
        pool.max_pool(x, out, windows=windows, scratch=memory.scratch)
    with pytest.raises(ValueError, match="not one number for each channel"):
        pool.spatial_sum(x, out, scale=1.0, scratch=memory.scratch)


def test_no_samples_are_no_calls():
    windows = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
    memory = Memory("float32")
    x, out = memory.images(np.zeros((0, 3, 4, 4))), memory.images(np.zeros((0, 3, 2, 2)))
    assert pool.max_pool(x, out, windows=windows, scratch=memory.scratch) == []
