"""Where values of a compiled step lie, and when tensors are written, on the emulated device."""

import numpy as np
import pytest
from emulated_backend import EmulatedBackend, WatchfulDevice
from test_cuda_plan import available, emulated  # noqa: F401

import tensorgraph as tg

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")

SHAPES = {
    "transposed": lambda x: tg.ops.permute_dims(x, axes=(1, 0, 2)) * 2 + 1,
    "reshaped": lambda x: tg.ops.reshape(x, shape=(2, 3, 2, 2)) * 2 + 1,
    "spread": lambda x: (
        x + tg.ops.broadcast_to(tg.ops.reshape(x[0], shape=(1, 3, 4)), shape=(2, 3, 4))
    ),
    "sliced": lambda x: x[:, 1:, ::2] * x[:, :2, 1::2],
    "swapped rows": lambda x: tg.ops.matmul(tg.ops.permute_dims(x, axes=(0, 2, 1)), x),
    "batches of batches": lambda x: (
        tg.ops.matmul(
            tg.ops.reshape(x, shape=(2, 1, 3, 4)) + 1, tg.ops.reshape(x, shape=(1, 2, 4, 3)) * 2
        )
        * 3
    ),
    "products of slices": lambda x: tg.ops.matmul(x[:, :, ::2], x[:, ::2, :2]),
    "summed": lambda x: x - x.sum(axis=(0, 2), keepdims=True) + x.sum(),
    "channels of a smaller array": lambda x: tg.ops.reshape(x, shape=(1, 2, 3, 4)) + x,
    "joined": lambda x: tg.ops.concatenate(x, x * 2, x[:, :, 1:], axis=2),
    "itself": lambda x: x,
    "a view": lambda x: tg.ops.permute_dims(x, axes=(2, 1, 0)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_values_lie_where_their_readers_want_them(emulated, name):  # noqa: F811
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    want = SHAPES[name](tg.tensor(x)).numpy()
    with tg.use(backend="cupy"):
        step = tg.compile(SHAPES[name])
        for _ in range(2):
            np.testing.assert_allclose(step(tg.tensor(x)).numpy(), want, rtol=1e-5, atol=1e-5)
        assert all(task.captured for task in step.plan.runner.planner.tasks)


def test_batches_of_batches_without_a_library(monkeypatch):
    monkeypatch.setitem(tg.plugins._backends, "cupy", EmulatedBackend(WatchfulDevice({})))
    for shape in ((2, 3, 4), (0, 3, 4)):
        x = np.ones(shape, np.float32)
        with tg.use(backend="cupy"):
            y = tg.tensor(x)

            step = tg.compile(
                lambda y: tg.ops.matmul(y[None], tg.ops.permute_dims(y[None], axes=(0, 1, 3, 2)))
            )
            np.testing.assert_array_equal(step(y).numpy(), (x @ x.swapaxes(1, 2))[None])


def written_late():
    """The old values are read after the new ones are there."""
    w = tg.tensor(np.arange(12, dtype=np.float32).reshape(3, 4))

    def step(x):
        old = w * 1
        w.assign(w + x)
        return tg.ops.matmul(old, x.T), old, w * 2

    return step, [w]


def exchanged():
    a, b = (tg.tensor(np.full((3, 4), n, np.float32)) for n in (1, 2))

    def step(x):
        old = a * 1
        a.assign(b * 1)
        b.assign(old)
        return a + x

    return step, [a, b]


def shared():
    a, b = (tg.tensor(np.full((3, 4), n, np.float32)) for n in (1, 2))

    def step(x):
        new = a + x
        a.assign(new)
        b.assign(new)
        return new

    return step, [a, b]


def turned():
    w = tg.tensor(np.arange(12, dtype=np.float32).reshape(3, 4))

    def step(x):
        w.assign(tg.ops.reshape((w * 2).T, shape=(3, 4)) + w)
        return w.sum() + x.sum()

    return step, [w]


@pytest.mark.parametrize("make", [written_late, exchanged, shared, turned])
def test_tensors_are_written_when_nobody_reads_their_old_values(emulated, make):  # noqa: F811
    found = []
    for backend in ("numpy", "cupy"):
        with tg.use(backend=backend):
            step, tensors = make()
            compiled = step if backend == "numpy" else tg.compile(step)
            made = []
            for i in range(3):
                x = tg.tensor(np.cos(np.arange(12) + i).astype(np.float32).reshape(3, 4))
                out = compiled(x)
                made += [y.numpy() for y in (out if isinstance(out, tuple) else (out,))]
            found.append([*map(np.array, made), *(np.array(x.numpy()) for x in tensors)])
    for want, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
