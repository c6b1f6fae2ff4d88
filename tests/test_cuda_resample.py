"""Images between their pixels by CUDA on the emulated device, against SciPy."""

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from scipy import ndimage
from tensorgraph_cupy.kernels import resample
from tensorgraph_cupy.kernels.arrays import Arrays

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
RANDOM = np.random.default_rng(0)


def interpolated(images, rows, columns):
    """The places of each plane, where SciPy goes on with the outermost pixels."""
    n, *middle, height, width = images.shape
    rows, columns = np.broadcast_arrays(rows, columns, np.empty((n, 1, 1)))[:2]
    planes = images.reshape(n, -1, height, width).astype(np.float64)
    found = [
        [ndimage.map_coordinates(plane, at, order=1, mode="nearest") for plane in image]
        for image, at in zip(planes, zip(rows, columns))
    ]
    return np.reshape(found, (n, *middle, *rows.shape[1:]))


@pytest.mark.parametrize(
    ("images", "rows", "columns"),
    [
        ((2, 3, 5, 6), (2, 4, 7), (2, 4, 7)),
        ((3, 8, 5, 6), (1, 4, 1), (3, 1, 7)),
        ((2, 7, 9), (2, 3, 3), (1, 3, 3)),
        ((2, 2, 2, 1, 4), (2, 2, 2), (2, 2, 2)),
        ((1, 4, 40, 40), (1, 40, 40), (1, 40, 40)),
    ],
    ids=str,
)
def test_places_of_every_shape(images, rows, columns):
    x = RANDOM.standard_normal(images).astype(np.float32)
    rows = RANDOM.uniform(-2, images[-2] + 1, rows).astype(np.float32)
    columns = RANDOM.uniform(-2, images[-1] + 1, columns).astype(np.float32)
    rows.ravel()[0] = 2.0  # on a line of pixels
    arrays = Arrays(np, EmulatedDevice())
    found = resample.resample_array(arrays, x, rows, columns)
    np.testing.assert_allclose(found, interpolated(x, rows, columns), 1e-4, 1e-5)


def test_what_is_no_number_is_at_0():
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    rows, columns = np.full((2, 1, 1, 1), np.nan, np.float32)
    assert resample.resample_array(Arrays(np, EmulatedDevice()), x, rows, columns).item() == 0


def test_bfloat16():
    device, shape = EmulatedDevice(), (2, 5, 6, 8)
    x = RANDOM.standard_normal(shape).astype(ml_dtypes.bfloat16)
    rows, columns = RANDOM.uniform(0, 4, (2, 2, 3, 3)).astype(np.float32)
    held, at, beside = device.put(x), device.put(rows), device.put(columns)
    out = device.allocate(2 * 2 * 9 * 8)
    where = (at.address, (9, 3, 1)), (beside.address, (9, 3, 1))
    resample.resample(device, "bfloat16", shape, (3, 3), held.address, out.address, *where)
    found = device.get(out, (2, 3, 3, 8), x.dtype).astype(np.float32)
    want = interpolated(x.transpose(0, 3, 1, 2), rows, columns).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, want, 2**-8, 1e-5)
