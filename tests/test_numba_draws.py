"""Numba's numbers of a key for each sample, and resampled images: beside the portable kernels, and
in plans that split them by samples or by threads."""

import numpy as np
import pytest
from numba_memory import Memory
from op_cases.resample import interpolated

import tensorgraph as tg

pytest.importorskip("numba")

from tensorgraph_numba.kernels.draws import box_muller, random_bits_each, unit_interval
from tensorgraph_numba.kernels.resample import resample
from tensorgraph_numba.native import run

PARTS = [[(0, 1)], [(0, 3), (1, 3), (2, 3)]]


@pytest.fixture
def memory():
    made = Memory("float32")
    yield made
    made.check()


def words(*shape):
    return np.random.default_rng(len(shape)).integers(0, 2**32, shape, dtype=np.uint32)


def units(*shape):
    return np.random.default_rng(1).random(shape, np.float32)


@pytest.mark.parametrize("count", [1, 3, 4, 33, 1025, 2100])
def test_words_of_keys(memory, count):
    keys = memory.array(words(7, 4), gap=4, dtype="uint32")
    out = memory.array(np.zeros((7, count)), dtype="uint32")
    run(random_bits_each(keys, out, scratch=memory.scratch))
    want = tg.ops.random_bits_each.portable(np, keys, shape=(7, count))
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("shape", [(1,), (5, 3), (4, 37, 2)])
def test_units(memory, shape, parts):
    bits = memory.array(words(*shape), dtype="uint32")
    bits.flat[0] = 2**32 - 1
    out = memory.array(np.zeros(shape))
    for part in parts:
        run(unit_interval(bits, out, part=part))
    want = tg.ops.unit_interval.portable(np, bits, dtype="float32")
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("shape", [(1, 2), (3, 5, 2), (64, 2), (7, 33, 2)])
def test_normal_numbers(memory, shape, parts):
    """Against float64; NumPy's own are up to 1.4e-6 away, since they round the angle."""
    u = units(*shape)
    u[..., 0].flat[:2] = 0, 1 - 2**-24
    u[..., 1].flat[:3] = [0.125, 0.5, 1 - 2**-24][: u[..., 1].size]
    given, out = memory.array(u), memory.array(np.zeros((len(u), u[0].size)))
    for part in parts:
        run(box_muller(given, out, scratch=memory.scratch, part=part))
    a, b = u.astype("float64").reshape(-1, 2).T
    radius, angle = np.sqrt(-2 * np.log1p(-a)), 2 * np.pi * b
    want = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    np.testing.assert_allclose(out, want.reshape(out.shape), atol=6e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 2, 9, 7), (2, 5, 4), (2, 3, 2, 6, 5), (2, 2, 1, 1)])
def test_resampled_images(dtype, shape):
    memory, generator = Memory(dtype), np.random.default_rng(0)
    n, *middle = shape[:-2]
    for order in ((*range(len(shape)),), (0, *range(2, len(shape)), 1)):
        x = memory.array(generator.random(shape), order)
        rows, columns = memory.array(generator.uniform(-3, 12, (n, 8, 1))), None
        columns = memory.array(generator.uniform(-3, 12, (1, 8, 35)))
        rows[0, :3, 0] = 2, np.inf, -np.inf
        out = memory.array(np.zeros((n, *middle, 8, 35)), order)
        run(resample(x, rows, columns, out))
        places = np.clip(rows, -1, 20), columns
        np.testing.assert_allclose(out, interpolated(x, *places), atol=1e-5)
    memory.check()


def test_a_place_that_is_no_number_is_the_first_pixel():
    memory = Memory("float32")
    x = memory.array(np.arange(6.0).reshape(1, 2, 3))
    places, out = memory.array(np.full((1, 1, 1), np.nan)), memory.array(np.ones((1, 1, 1)))
    run(resample(x, places, places, out))
    assert out.item() == tg.ops.resample.portable(np, x, places, places).item() == 0
    memory.check()


def drawn(x, key):
    return tg.ops.normal(x.shape, dtype="float32", key=key)


def turned(x, key):
    n, *_, height, width = x.shape
    moved = [tg.ops.uniform((n, 1, 1), high=4.0, dtype="float32", key=key) for _ in range(2)]
    lines = x.constant([[[i] for i in range(height)]]), x.constant([[list(range(width))]])
    return tg.ops.resample(x * 2, *(a + b for a, b in zip(lines, moved, strict=True)))


def stacked(x, key):
    return tg.ops.matmul(x + 1, tg.ops.softmax(x, axis=-1)) @ x.constant([[1.0] * 3] * x.shape[-1])


@pytest.mark.parametrize("function", [drawn, turned, stacked])
@pytest.mark.parametrize("n", [1, 3, 64])
def test_plans(function, n, monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    x, key = tg.tensor(units(n, 1, 29, 29)), tg.tensor(words(n, 4))
    compiled = tg.compile(function)
    with tg.no_grad():
        found, want = compiled(x, key), function(x, key)
    np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-5, atol=3e-6)
    assert "numpy." not in str(compiled.plan), "every part has a kernel here"


def reordered(x, key):
    return x[tg.ops.argsort(tg.ops.uniform(x.shape[:1], dtype="float32", key=key))]


@pytest.mark.parametrize("function", [drawn, turned, reordered])
def test_convolutions_behind_them_keep_their_kernels(function, monkeypatch):
    """Those take the batch piece by piece, and so do their gradients."""
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    x, key = tg.tensor(units(32, 1, 20, 20)), tg.tensor(words(32, 4))
    filters = [tg.tensor(units(16, n, 3, 3) - 0.5, requires_grad=True) for n in (1, 16)]

    def step(x, key):
        with tg.no_grad():
            x = function(x, key)
        for w in filters:
            x = tg.ops.relu(tg.ops.conv(x, w))
        return tg.grad(tg.ops.mean(x), filters)

    compiled = tg.compile(step)
    for found, want in zip(compiled(x, key), step(x, key), strict=True):
        np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-3, atol=1e-5)
    plan = str(compiled.plan)
    assert "numpy.conv" not in plan
    assert "~" in next(
        line for line in plan.splitlines() if "conv(" in line or "winograd_p" in line
    )


def test_a_gradient_in_an_image_that_is_not_cut_into_pieces(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    w, x = tg.tensor(units(8, 4, 3, 3)), tg.tensor(units(1, 4, 9, 9), requires_grad=True)

    def slope(x):
        return tg.grad(tg.ops.sum(tg.ops.square(tg.ops.conv(x, w, padding=1))), [x])[0]

    compiled = tg.compile(slope)
    np.testing.assert_allclose(compiled(x).numpy(), slope(x).numpy(), rtol=1e-4)
    assert "numpy.conv_input" not in str(compiled.plan)
