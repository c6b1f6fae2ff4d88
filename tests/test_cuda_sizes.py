"""Numbers of elements at the ends of 32 bits, and beyond: memory is there only where it is touched,
and of each launch, with a thread for each element, only the first and the last blocks run."""

import mmap
import sys

import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.device import Memory
from tensorgraph_cupy.kernels import loss, move, pool, random, resample
from tensorgraph_cupy.kernels.chain import Chain, Operand, Step
from tensorgraph_cupy.kernels.elementwise import elementwise

pytestmark = pytest.mark.skipif(
    not available() or sys.maxsize < 2**32, reason="g++ is not installed, or addresses are short"
)
SIZES = (2**30 - 32, 2**30, 2**31 + 64)  # the last in 32 bits; in 64; and beyond 31
SINGLE = "float32"
NOT_RESERVED = getattr(mmap, "MAP_NORESERVE", 0x4000)  # Python has it from 3.12 on


class LargeDevice(EmulatedDevice):
    processors = 1 << 22
    ends = 2

    def allocate(self, size):
        anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NOT_RESERVED
        try:
            whole = np.frombuffer(mmap.mmap(-1, size + 256, flags=anonymous), np.uint8)
        except OSError:
            pytest.skip("this machine gives no memory that is not there")
        return Memory(-(-whole.ctypes.data // 256) * 256, size, whole)

    def array(self, memory, shape, dtype=np.float32):
        start = memory.address - memory.owner.ctypes.data
        return (
            memory.owner[start : start + memory.size].view(dtype)[: np.prod(shape)].reshape(shape)
        )


@pytest.fixture
def large():
    return LargeDevice()


def made(device, shape, dtype=np.float32):
    memory = device.allocate(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return memory.address, device.array(memory, shape, dtype), memory


@pytest.mark.parametrize("size", SIZES)
def test_chains(large, size):
    (x, given, _), (y, out, _) = made(large, (size // 32, 32)), made(large, (size // 32, 32))
    c, channels, _ = made(large, (32,))
    channels[:] = np.arange(32)
    given[0], given[-1] = 1, np.arange(32)
    place, channel = Operand(SINGLE, (True, True)), Operand(SINGLE, (False, True))
    chain = Chain((place, channel), (Step("add", (0, 1), SINGLE),), ((2, SINGLE),))
    elementwise(large, chain, given.shape, [x, c], [y])
    np.testing.assert_array_equal(out[0], 1 + channels)
    np.testing.assert_array_equal(out[-1], 2 * channels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("turned", [False, True])
def test_copies(large, size, turned):
    n = size // 32
    (x, given, _), (y, out, _) = made(large, (n, 32)), made(large, (32, n) if turned else (n, 32))
    given[-1] = np.arange(32)
    strides = move.strides_of(given.shape)
    target = (1, n) if turned else strides
    move.copy(large, given.shape, move.Flat(x, SINGLE, strides), move.Flat(y, SINGLE, target))
    np.testing.assert_array_equal(out[:, -1] if turned else out[-1], np.arange(32))


@pytest.mark.parametrize("size", SIZES)
def test_pooling(large, size):
    n = size // 128
    (x, given, _), (y, out, _) = made(large, (n, 2, 2, 32)), made(large, (n, 1, 1, 32))
    given[-1] = np.arange(128).reshape(2, 2, 32)
    windows = pool.Windows((2, 2), (2, 2), (0, 0), (1, 1))
    pool.pool(large, "max_pool", SINGLE, windows, [x], y, (n, 32, 2, 2), (n, 32, 1, 1))
    np.testing.assert_array_equal(out[-1, 0, 0], np.arange(96, 128))


@pytest.mark.parametrize("size", SIZES)
def test_softmax(large, size):
    (x, given, _), (y, out, _) = made(large, (size // 32, 32)), made(large, (size // 32, 32))
    given[-1, 5] = 50
    loss.softmax(large, SINGLE, given.shape, x, y, False)
    np.testing.assert_allclose(out[-1], np.eye(32)[5], atol=1e-6)
    np.testing.assert_allclose(out[0], 1 / 32, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_words_and_dropout(large, size):
    key, words, _ = made(large, (4,), np.uint32)
    words[:] = (1, 2, 3, 4)
    (x, given, _), (y, out, _) = made(large, (size,)), made(large, (size,))
    (w, drawn, _), given[-32:] = made(large, (size,), np.uint32), 1
    random.words(large, key, w, 1, size)
    random.drop(large, SINGLE, x, key, y, (size, 1, 1), 0.5)
    kept = drawn[-32:] <= round(0.5 * 2**32) - 1
    np.testing.assert_array_equal(out[-32:], np.where(kept, 2, 0))
    assert 0 < kept.sum() < 32


@pytest.mark.parametrize("size", SIZES)
def test_resampling(large, size):
    n = size // 16
    (x, given, _), (y, out, _) = made(large, (n, 2, 2, 4)), made(large, (n, 2, 2, 4))
    rows, places, _ = made(large, (1, 2, 1))
    columns, across, _ = made(large, (1, 1, 2))
    places[0, :, 0], across[0, 0] = (1, 0), (0.5, 1)
    given[-1] = np.arange(16).reshape(2, 2, 4)
    where = ((rows, (0, 1, 0)), (columns, (0, 0, 1)))  # and strides
    resample.resample(large, SINGLE, (n, 2, 2, 4), (2, 2), x, y, *where)
    want = np.stack([given[-1, ::-1].mean(1), given[-1, ::-1, 1]], 1)
    np.testing.assert_array_equal(out[-1], want)
