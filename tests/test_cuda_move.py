"""Copies between layouts, picking along axes and argmax by CUDA on the emulated device."""

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.kernels import index, move
from tensorgraph_cupy.kernels.move import Flat, copy, strides_of
from test_cuda_sources import check

emulated = pytest.mark.skipif(not available(), reason="g++ is not installed")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
RANDOM = np.random.default_rng(0)
LAST = (0, 2, 3, 1)


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def device(request):
    return EmulatedDevice(backwards=request.param)


def view(address, array, base):
    """An array of NumPy's, seen within the memory that ``base`` has on the device."""
    offset = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    strides = tuple(step // array.itemsize for step in array.strides)
    return Flat(address + offset, str(array.dtype), strides)


VIEWS = {  # what a copy is of: an array → a view of it
    "all": lambda x: x,
    "turned": lambda x: x.transpose(0, 2, 3, 1),
    "reversed axes": lambda x: x.transpose(3, 2, 1, 0),
    "a part": lambda x: x[1:, :, 2:5, 1::2],
    "flipped": lambda x: x[:, ::-1, :, ::-1],
    "repeated": lambda x: np.broadcast_to(x[:, :1, :, :1], x.shape),
    "a row": lambda x: x[0, 0, 0],
    "a number": lambda x: x[:1, :1, :1, :1],
    "nothing": lambda x: x[:0],
}


@emulated
@pytest.mark.parametrize("what", VIEWS)
@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (3, 40, 5, 9), (2, 8, 6, 64)], ids=str)
def test_copies(device, shape, what):
    """Of every kind of view, into memory without gaps and into a part of a larger array."""
    x = RANDOM.standard_normal(shape).astype(np.float32)
    held = device.put(x)
    seen = VIEWS[what](x)
    for room in (0, 2):
        big = np.full([n + 2 * room for n in seen.shape], -1, np.float32)
        part = big[tuple(slice(room, room + n) for n in seen.shape)]
        out = device.put(big)
        copy(device, seen.shape, view(held.address, seen, x), view(out.address, part, big))
        part[...] = seen
        np.testing.assert_array_equal(device.get(out, big.shape, np.float32), big)


@emulated
@pytest.mark.parametrize("wide", [False, True], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize("channels", [1, 3, 8, 70])
def test_to_channels_last_and_back_with_a_cast(device, channels, wide, monkeypatch):
    monkeypatch.setattr(move, "WIDE", 0 if wide else move.WIDE)
    shape = (2, channels, 5, 7)
    x = RANDOM.standard_normal(shape).astype(np.float32)
    held, last = device.put(x), device.allocate(2 * x.size)
    strides = strides_of(shape, LAST)
    first = Flat(held.address, "float32", strides_of(shape))
    copy(device, shape, first, Flat(last.address, "bfloat16", strides))
    found = device.get(last, (2, 5, 7, channels), BFLOAT16)
    np.testing.assert_array_equal(found, x.transpose(LAST).astype(BFLOAT16))
    back = device.allocate(4 * x.size)
    again = Flat(back.address, "float32", strides_of(shape))
    copy(device, shape, Flat(last.address, "bfloat16", strides), again)
    want = x.astype(BFLOAT16).astype(np.float32)
    np.testing.assert_array_equal(device.get(back, shape, np.float32), want)


@emulated
def test_casts_and_other_dtypes(device):
    pairs = [("uint8", "float32"), ("int64", "int64"), ("float32", "bool"), ("bool", "bfloat16")]
    for given, wanted in pairs:
        x = np.arange(40).reshape(5, 8).astype(given)
        held, dtype = device.put(x), BFLOAT16 if wanted == "bfloat16" else np.dtype(wanted)
        out = device.allocate(x.size * dtype.itemsize)
        strides = strides_of(x.shape)
        copy(
            device, x.shape, Flat(held.address, given, strides), Flat(out.address, wanted, strides)
        )
        np.testing.assert_array_equal(device.get(out, x.shape, dtype), x.astype(dtype))


@emulated
@pytest.mark.parametrize("sizes", [(1, 5, 8), (3, 7, 5), (2, 4, 1), (1, 3, 40)], ids=str)
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_take_and_its_gradient(device, sizes, storage):
    dtype = BFLOAT16 if storage == "bfloat16" else np.dtype(storage)
    outer, n, inner = sizes
    x = RANDOM.standard_normal(sizes).astype(np.float32).astype(dtype)
    indices = RANDOM.integers(-n, n, 9)
    held, at = device.put(x), device.put(indices)
    out = device.allocate(outer * 9 * inner * dtype.itemsize)
    index.take(device, storage, sizes, 9, held.address, at.address, out.address)
    found = device.get(out, (outer, 9, inner), dtype)
    np.testing.assert_array_equal(found, x.take(indices, axis=1, mode="wrap"))
    total = device.allocate(4 * x.size)
    index.take_add(device, storage, sizes, 9, out.address, at.address, total.address)
    want = np.zeros(sizes, np.float32)
    np.add.at(want, (slice(None), indices), found.astype(np.float32))
    np.testing.assert_allclose(device.get(total, sizes, np.float32), want, 1e-5, 1e-6)


@emulated
@pytest.mark.parametrize("sizes", [(300, 10, 1), (2, 5, 40), (1, 1, 1), (0, 3, 2)], ids=str)
def test_argmax(device, sizes):
    x = RANDOM.integers(-3, 4, sizes).astype(np.float32)
    x[:1, 2:, :1] = np.nan
    held, out = device.put(x), device.allocate(8 * sizes[0] * sizes[2])
    index.argmax(device, "float32", sizes, held.address, out.address)
    found = device.get(out, (sizes[0], sizes[2]), np.int64)
    np.testing.assert_array_equal(found, x.argmax(1))


@emulated
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_argsort_keeps_the_order_of_equals(device, dtype):
    x = RANDOM.integers(0, 6, (5, 70)).astype(dtype)
    if dtype == "float32":
        x[1:, ::9], x[2, 3], x[2, 5] = np.nan, np.inf, -np.inf
    held, out = device.put(x), device.allocate(8 * x.size)
    index.argsort(device, dtype, *x.shape, held.address, out.address)
    found = device.get(out, x.shape, np.int64)
    np.testing.assert_array_equal(found, x.argsort(1, kind="stable"))


@emulated
@pytest.mark.parametrize("dtype", ["bool", "int64", "uint16"])
def test_take_of_other_dtypes(device, dtype):
    x = RANDOM.integers(0, 2, (7, 4)).astype(dtype)
    held, at = device.put(x), device.put(np.array([3, -1, 3]))
    out = device.allocate(3 * 4 * x.itemsize)
    index.take(device, dtype, (1, 7, 4), 3, held.address, at.address, out.address)
    np.testing.assert_array_equal(device.get(out, (3, 4), x.dtype), x[[3, -1, 3]])


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_sources_compile_without_spills(architecture):
    for dtypes in (("float32", "bfloat16"), ("uint32", "uint32"), ("uint8", "float32")):
        for tiled in (False, True):
            text = move._source(dtypes, 4, 1 if tiled else 4, tiled, "int")
            check(text, "move.cu", architecture)
    check(move._source(("uint16", "uint16"), 6, 8, False, "int64"), "move.cu", architecture)
