"""Random words and dropout by CUDA, on the emulated device: the bits that NumPy has."""

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.cuda import complete
from tensorgraph_cupy.kernels import launching, random
from tensorgraph_cupy.kernels.arrays import Arrays

import tensorgraph as tg

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")

KEY = np.array([12345, 67, 89, 2**31], np.uint32)


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def arrays(request):
    return Arrays(np, EmulatedDevice(backwards=request.param))


PUBLISHED = [  # counter, key, words: Random123's kat_vectors for philox4x32 with 10 rounds
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
BLOCK = """#include "common.cuh"
#include "philox.cuh"

KERNEL one_block(const uint4* counter, const uint32* key, uint4* out) {
    *out = philox_block(*counter, key[0], key[1]);
}
"""


@pytest.mark.parametrize(("counter", "key", "words"), PUBLISHED)
def test_a_block_has_the_published_words(counter, key, words):
    device = EmulatedDevice()
    held = [device.put(np.array(x, np.uint32)) for x in (counter, key, [0] * 4)]
    source = complete("one_block.cu", BLOCK)
    device.launch(source, "one_block", (1,), (1,), [memory.address for memory in held])
    assert device.get(held[2], (4,), np.uint32).tolist() == words


def test_the_published_words(arrays):
    """Counter and key 0."""
    words = random.random_bits(arrays, np.zeros(4, np.uint32), shape=(4,))
    assert words.tolist() == PUBLISHED[0][2]


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5,), (2, 3, 7), (8192,), (40, 1001)], ids=str)
def test_words(arrays, shape):
    want = tg.ops.random_bits(tg.tensor(KEY), shape=shape).numpy()
    np.testing.assert_array_equal(random.random_bits(arrays, KEY, shape=shape), want)


@pytest.mark.parametrize("shape", [(3, 0), (3, 1), (3, 4), (3, 2, 5), (1, 4097)], ids=str)
def test_words_of_each_key(arrays, shape):
    keys = np.random.default_rng(0).integers(0, 2**32, (shape[0], 4), dtype=np.uint32)
    want = tg.ops.random_bits_each(tg.tensor(keys), shape=shape).numpy()
    np.testing.assert_array_equal(random.random_bits_each(arrays, keys, shape=shape), want)


SHAPES = [
    (7,),
    (),
    (0,),
    (3, 5),
    (2, 5, 3, 7),
    (2, 8, 4, 4),
    (4, 3, 1, 1),
    (2, 3, 5),
    (1, 9, 33, 2),
]


@pytest.mark.parametrize("wide", [False, True], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dropout(arrays, shape, wide, monkeypatch):
    monkeypatch.setattr(launching, "WIDE", 0 if wide else launching.WIDE)
    x = np.asarray(np.random.default_rng(0).standard_normal(shape), np.float32)
    for p in (0.0, 0.3, 1.0):
        want = tg.ops.drop(tg.tensor(x), tg.tensor(KEY), p=p).numpy()
        np.testing.assert_array_equal(random.drop_array(arrays, x, KEY, p=p), want)


def test_dropout_of_bfloat16():
    """The elements that float32 drops; what is left is rounded."""
    device, shape = EmulatedDevice(), (2, 3, 10)
    x = np.random.default_rng(0).standard_normal(shape).astype(ml_dtypes.bfloat16)
    held, key = device.put(x.transpose(0, 2, 1)), device.put(KEY)
    out = device.allocate(x.nbytes)
    random.drop(device, "bfloat16", held.address, key.address, out.address, shape, 0.3)
    found = device.get(out, (2, 10, 3), x.dtype).transpose(0, 2, 1)
    want = tg.ops.drop(tg.tensor(x.astype(np.float32)), tg.tensor(KEY), p=0.3).numpy()
    np.testing.assert_array_equal(found, want.astype(x.dtype))


def test_dropout_of_strided_memory(arrays):
    x = np.random.default_rng(0).standard_normal((4, 6, 5, 8)).astype(np.float32)[::2, 1:, :, ::2]
    want = tg.ops.drop(tg.tensor(x), tg.tensor(KEY), p=0.5).numpy()
    np.testing.assert_array_equal(random.drop_array(arrays, x, KEY, p=0.5), want)
