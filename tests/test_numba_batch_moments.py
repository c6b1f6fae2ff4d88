"""Batch statistics of Numba's plans, in one pass, against NumPy's in float64."""

import numpy as np
import pytest

import tensorgraph as tg

pytest.importorskip("numba")
from tensorgraph_numba.plan import runner
from tensorgraph_numpy.threads import use_threads

L = tg.layers
SHAPES = [(7, 5), (2, 3), (9, 33, 4), (5, 6, 7, 5), (2, 16, 4, 4), (3, 4, 2, 3, 5)]


@pytest.fixture(autouse=True)
def compiled_at_once(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    monkeypatch.setattr(runner, "WORTH_SHARING", 0.0)


def norm_of(ndim):
    return {2: L.batch_norm1d, 3: L.batch_norm1d, 4: L.batch_norm2d, 5: L.batch_norm3d}[ndim]()


def ops_of(step):
    assert isinstance(step.plan.runner, runner.Plan)
    return [call.op.name for call in step.plan.outline().program.calls]


def standardized(x, g, eps=1e-5):
    """Batch norm and its gradient in ``x`` by the textbook, in float64: the output, the gradient,
    the mean and the unbiased variance."""
    x, g = x.astype("float64"), g.astype("float64")
    axes = (0, *range(2, x.ndim))
    average, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + eps)
    y, n = (x - average) * inverse, x.size // x.shape[1]
    along = (g * y).mean(axis=axes, keepdims=True)
    gradient = inverse * (g - g.mean(axis=axes, keepdims=True) - y * along)
    return y, gradient, average.ravel(), variance.ravel() * n / (n - 1)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape, dtype, threads):
    """Odd batches on several threads, one with fewer samples than threads; twice, so that nothing
    is left of the run before."""
    rng = np.random.default_rng(len(shape))
    norm = norm_of(len(shape))
    norm.infer_shape(tg.Spec(shape, dtype))

    @tg.compile
    def step(x, g):
        out = norm(x)
        return out, tg.grad(tg.ops.sum(out * g), [x])[0]

    running = np.zeros(shape[1]), np.ones(shape[1])
    with tg.use(dtype=dtype), use_threads(threads):
        for i in range(2):
            x, g = (rng.standard_normal(shape).astype(dtype) * 3 + 100 * i for _ in range(2))
            found = step(tg.tensor(x, requires_grad=True), tg.tensor(g))
            y, gradient, average, variance = standardized(x, g)
            tolerance = {"float32": 1e-3, "float64": 1e-9}[dtype] if i else 1e-5
            np.testing.assert_allclose(found[0].numpy(), y, rtol=tolerance, atol=tolerance)
            limit = tolerance * (1 + np.abs(gradient).max()) * (100 if i else 1)
            np.testing.assert_allclose(found[1].numpy(), gradient, rtol=0, atol=limit)
            running = running[0] * 0.9 + average * 0.1, running[1] * 0.9 + variance * 0.1
            np.testing.assert_allclose(norm.running_mean.numpy(), running[0], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(norm.running_var.numpy(), running[1], rtol=1e-4)
    names = ops_of(step)
    assert names.count("channel_moments") == 1
    assert "axis_mean" not in names and "axis_variance" not in names


def trained(model, x, compiled, steps=3):
    """What a training from the same weights has made of a model."""
    optimizer = tg.optimizers.sgd(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        out = model(x)
        tg.ops.mean(out * out * out).backward()
        optimizer.step()
        return out

    run = tg.compile(step) if compiled else step
    for _ in range(steps):
        run(x)
    return {name: value.numpy() for name, value in model.state().items()}, run


def compared(model, x):
    """A model trained both ways, checked to be the same; the ops of the plan."""
    model.infer_shape(x.spec)
    start = {name: value.numpy() for name, value in model.state().items()}
    want, _ = trained(model, x, compiled=False)
    model.load_state(start)
    found, run = trained(model, x, compiled=True)
    for name, value in want.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=2e-5, err_msg=name)
    return ops_of(run)


def images(dtype="float32"):
    return tg.tensor(np.random.default_rng(0).standard_normal((6, 3, 8, 8)).astype(dtype))


def test_a_bias_moves_the_mean_alone():
    """It is not added to the images, whose statistics lose no digits by it."""
    convolution, norm = L.conv2d(17, 3, padding=1), L.batch_norm2d()
    model = L.sequential(convolution, norm, tg.activations.relu, L.conv2d(4, 3), L.batch_norm2d())
    with tg.use(dtype="float64"):
        x = images("float64")
        model.infer_shape(x.spec)
        convolution.bias.assign(tg.tensor(np.linspace(1e3, 2e3, 17)))
        names = compared(model, x)
    assert names.count("channel_moments") == 2
    assert norm.running_mean.numpy().min() > 200


@pytest.mark.parametrize("layers", [
    [L.conv2d(6, 3), L.group_norm(3), L.conv2d(4, 3)],
    [L.conv2d(6, 3), L.group_norm(6), L.conv2d(4, 3)],
    [L.conv2d(6, 3), L.flatten(), L.linear(9), L.layer_norm()],
])  # fmt: skip
def test_other_norms_sum_over_no_batch(layers):
    names = compared(L.sequential(*layers), images())
    assert "channel_moments" not in names


def test_what_no_kernel_takes_is_left_to_numpy(monkeypatch):
    def refuse(*args, **kwargs):
        raise ValueError("not these")

    monkeypatch.setattr("tensorgraph_numba.kernels.moments.channel_moments", refuse)
    names = compared(L.sequential(L.conv2d(6, 3), L.batch_norm2d(), L.conv2d(4, 3)), images())
    assert "channel_moments" in names
