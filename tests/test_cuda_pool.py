"""Pooling by CUDA on the emulated device, against the portable kernels on hostile windows."""

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.kernels import launching, pool
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_ops.pool import Windows, window_axes

import tensorgraph as tg

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
RANDOM = np.random.default_rng(0)
GEOMETRIES = [  # shape, kernel_size, stride, padding, dilation, ceil_mode
    ((2, 8, 6, 6), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 4, 7, 9), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((1, 3, 7, 8), (3, 2), (1, 3), (1, 0), (2, 1), True),
    ((3, 5, 11), (4,), (3,), (2,), (1,), True),
    ((2, 4, 3, 4, 5), (2, 1, 3), (1, 2, 2), (1, 0, 1), (1, 1, 1), False),
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1), False),
    ((2, 3, 5, 5), (2, 2), (4, 4), (0, 0), (1, 1), False),
    ((0, 4, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 12, 7, 7), (7, 7), (7, 7), (0, 0), (1, 1), False),
]


@pytest.fixture
def arrays():
    return Arrays(np, EmulatedDevice())


def numbers(shape):
    """Few different numbers, so that there are ties, and infinities; NaN in one window."""
    x = RANDOM.integers(-2, 3, shape).astype(np.float32)
    if x.size > 40:
        x.ravel()[[3, 17]] = np.inf, -np.inf
        x.ravel()[30] = np.nan
    return x


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("geometry", [*GEOMETRIES, "counted in 64 bits"], ids=str)
def test_maxima(arrays, geometry, monkeypatch):
    if geometry == "counted in 64 bits":
        monkeypatch.setattr(launching, "WIDE", 0)
        geometry = GEOMETRIES[1]
    shape, *rest = geometry
    windows = Windows(*rest)
    x = numbers(shape)
    want = tg.ops.max_pool(tg.tensor(x), **windows._asdict())
    found = pool.max_pool(arrays, x, **windows._asdict())
    np.testing.assert_array_equal(found, want.numpy())
    g, values = numbers(want.shape), numbers(shape)
    g[~np.isfinite(g)] = 1
    tensors = [tg.tensor(a) for a in (g, x, found)]
    np.testing.assert_array_equal(
        pool.max_pool_input(arrays, g, x, found, windows=windows),
        tg.ops.max_pool_input(*tensors, windows=windows).numpy(),
    )
    np.testing.assert_array_equal(
        pool.max_pool_pick(arrays, values, x, found, windows=windows),
        tg.ops.max_pool_pick(tg.tensor(values), *tensors[1:], windows=windows).numpy(),
    )


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_averages(arrays, geometry, count_include_pad):
    shape, k, stride, padding, _, ceil_mode = geometry
    params = {"kernel_size": k, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    params["count_include_pad"] = count_include_pad
    x = RANDOM.standard_normal(shape).astype(np.float32)
    want = tg.ops.avg_pool(tg.tensor(x), **params).numpy()
    np.testing.assert_allclose(pool.avg_pool(arrays, x, **params), want, 1e-5, 1e-6)
    windows = Windows(k, stride, padding, (1,) * len(k), ceil_mode)
    params = {"size": shape[2:], "windows": windows, "count_include_pad": count_include_pad}
    g = RANDOM.standard_normal(want.shape).astype(np.float32)
    want = tg.ops.avg_pool_input(tg.tensor(g), **params).numpy()
    np.testing.assert_allclose(pool.avg_pool_input(arrays, g, **params), want, 1e-5, 1e-6)


@pytest.mark.parametrize("channels", [3, 16])
def test_bfloat16(channels):
    """A choice of elements is exact; sums are in float32 and rounded once."""
    device, shape, out_shape = EmulatedDevice(), (2, channels, 5, 6), (2, channels, 3, 3)
    windows = pool.Windows((3, 3), (2, 2), (1, 1), (1, 1))
    x = RANDOM.standard_normal(shape).astype(BFLOAT16)
    last = device.put(x.transpose(0, 2, 3, 1))
    for name in ("max_pool", "avg_pool"):
        out = device.allocate(2 * np.prod(out_shape).item())
        pool.pool(device, name, "bfloat16", windows, [last.address], out.address, shape, out_shape)
        params = {"kernel_size": 3, "stride": 2, "padding": 1}
        want = getattr(tg.ops, name)(tg.tensor(x.astype(np.float32)), **params).numpy()
        found = device.get(out, (2, 3, 3, channels), BFLOAT16).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(found, want.astype(BFLOAT16))


def test_windows_reach_as_far_as_the_ops_say():
    for shape, *rest in GEOMETRIES:
        windows = Windows(*rest)
        x = tg.Spec(shape, "float32")
        want = (*shape[:2], *[axis.reach for axis in window_axes("max_pool", x, windows)])
        assert pool._reach(shape, pool.Windows(*rest[:4]), windows.ceil_mode) == want
