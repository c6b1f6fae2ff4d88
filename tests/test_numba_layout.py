"""Numba's copies between layouts against NumPy's assignment."""

import numpy as np
import pytest
from numba_memory import Memory

pytest.importorskip("numba")

from tensorgraph_numba.kernels.layout import add_partials, channels_last, copy, fill
from tensorgraph_numba.native import run


@pytest.fixture(params=["float32", "float64"])
def memory(request):
    made = Memory(request.param)
    yield made
    made.check()


def values(shape):
    return np.random.default_rng(0).standard_normal(shape)


def copied(x, out):
    before = x.copy()
    out[...] = 7
    run(copy(x, out))
    np.testing.assert_array_equal(out, before)


SHAPES = [
    (2, 3, 32, 32), (3, 64, 5, 5), (2, 17, 4, 9), (1, 1, 7, 5), (2, 33, 1, 1), (2, 5, 1, 17),
    (4, 16, 16), (1, 20, 40), (2, 19, 3, 4, 5), (3, 7), (5, 1),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_images_to_channels_last_and_back(memory, shape):
    plain, images = memory.array(values(shape)), memory.images(values(shape), gap=9)
    copied(plain, images)
    copied(images, memory.array(np.zeros(shape), gap=5))


@pytest.mark.parametrize("shape", [(40, 33), (16, 8), (8, 300), (1, 5), (64, 64), (17, 15)])
def test_transposes(memory, shape):
    x = memory.array(values(shape))
    copied(x.T, memory.array(np.zeros(shape[::-1])))
    copied(x, memory.array(np.zeros(shape), order=(1, 0), gap=3))


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0)])
def test_any_order_of_axes(memory, order):
    x = memory.array(values((18, 19, 21)))
    copied(x, memory.array(np.zeros(x.shape), order=order))
    copied(x.transpose(order), memory.array(np.zeros(x.transpose(order).shape)))


def test_parts_of_arrays(memory):
    x = memory.array(values((4, 20, 37)))
    copied(x[:, 2:9, 1:34], memory.array(np.zeros((4, 7, 33))))
    copied(x[:, ::3, ::2], memory.array(np.zeros((4, 7, 19))))
    wide = memory.array(np.full((4, 20, 37), 5.0))
    wide_before = wide.copy()
    copied(x[1:3, 4:9, ::4], wide[1:3, 4:9, ::4])
    wide[1:3, 4:9, ::4] = 5
    np.testing.assert_array_equal(wide, wide_before)


@pytest.mark.parametrize("shape", [(1, 33), (20, 1), (1, 1), (20, 33)])
def test_repeated_elements(memory, shape):
    x = np.broadcast_to(memory.array(values(shape)), (3, 20, 33))
    copied(x, memory.array(np.zeros(x.shape)))
    copied(x, memory.array(np.zeros(x.shape), order=(2, 0, 1)))


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64"])
def test_whole_numbers_are_copied_bit_by_bit(memory, dtype):
    x = np.random.default_rng(0).integers(0, 2**31, (20, 37)).astype(dtype)
    x[0, :3] = np.array([-1, 0x7FA00001, 0x7FF0000000000001], "int64").astype(dtype)
    copied(memory.array(x, dtype=dtype).T, memory.array(x.T, dtype=dtype))
    copied(memory.array(x, dtype=dtype), memory.array(x, dtype=dtype, gap=0))


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
def test_bytes_become_numbers(memory, dtype):
    x = memory.array(np.random.default_rng(0).integers(0, 256, (3, 5, 37)), dtype=dtype)
    copied(x, memory.array(np.zeros(x.shape)))
    copied(x, memory.array(np.zeros(x.shape), order=(0, 2, 1)))
    copied(x[:, :, ::2], memory.array(np.zeros((3, 5, 19))))


def test_no_axes_and_no_elements(memory):
    copied(memory.array(values((1,)))[0, ...], memory.array(np.zeros(1))[0, ...])
    assert copy(memory.array(np.zeros((0, 3))), memory.array(np.zeros((0, 3)))) == []


def test_fill(memory):
    out = memory.array(values((3, 5, 18)), order=(0, 2, 1), gap=4)
    run(fill(out, -2.5))
    assert (out == -2.5).all()
    part = memory.array(np.zeros((6, 40)))
    run(fill(part[::2, 3:38], np.inf))
    assert np.isinf(part).sum() == 3 * 35


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("shape", [(3, 7), (40, 17), (1,)])
def test_add_partials(memory, shape, threads):
    rng = np.random.default_rng(0)
    parts = [memory.array(rng.integers(-9, 9, shape)) for _ in range(3)]
    out = memory.array(np.full(shape, 7.0))
    for t in range(threads):
        run(add_partials(parts, out, part=(t, threads)))
    np.testing.assert_array_equal(out, sum(parts))
    want = out + parts[1]
    run(add_partials([out, parts[1]], out))
    np.testing.assert_array_equal(out, want)


def test_channels_last():
    memory = Memory("float32")
    assert channels_last(memory.images(np.zeros((2, 3, 4, 5)), gap=7))
    assert channels_last(np.zeros((2, 1, 4, 5), "float32"))
    assert channels_last(np.zeros((1, 6, 1, 1), "float32"))
    assert not channels_last(np.zeros((2, 3, 4, 5), "float32"))
    assert not channels_last(memory.images(np.zeros((2, 3, 4, 5)))[:, :, ::2])
    assert not channels_last(memory.images(np.zeros((2, 3, 4, 5)))[:, :2])
    assert not channels_last(np.broadcast_to(np.zeros(3, "float32"), (2, 3)))


def test_what_cannot_be_copied_is_refused(memory):
    x = memory.array(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\[2, 3\] with strides .* not the shape of .*\[3, 2\]"):
        copy(x, np.zeros((3, 2), x.dtype))
    with pytest.raises(ValueError, match="4 or 8 bytes, or uint8 to floats, not float16"):
        copy(x.astype("float16"), x)
    with pytest.raises(ValueError, match="several elements in one place"):
        copy(x, np.broadcast_to(x[:1], (2, 3)))
    with pytest.raises(ValueError, match="not dense and laid out as"):
        add_partials([x[:, :2]], x[:, :2])
    with pytest.raises(ValueError, match="not dense and laid out as"):
        add_partials([x, np.asfortranarray(x)], x)
