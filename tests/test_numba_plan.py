"""Steps on Numba's kernels against the same steps in eager mode, for networks drawn at random."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tensorgraph as tg

pytest.importorskip("numba")
from tensorgraph_numba.plan import runner

examples = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
L = tg.layers
ACTIVATIONS = ["relu", "leaky_relu", "sigmoid", "tanh", "elu", "silu", "gelu", "softplus"]


@pytest.fixture(autouse=True)
def compiled_at_once(monkeypatch):
    """With small values computed again too."""
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    monkeypatch.setattr("tensorgraph_numba.plan.again.LARGE", 0)


@st.composite
def networks(draw):
    """Layers for images, then for vectors, and an image size that they take."""
    channels = draw(st.sampled_from([1, 2, 3, 5, 16]))
    size = draw(st.integers(9, 17))
    layers, now, here = [], channels, size
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "conv", "conv", "pool", "norm", "activation", "drop"]))
        if kind == "conv":
            k = draw(st.sampled_from([1, 2, 3, 3, 5]))
            stride, dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2)]))
            padding = draw(st.integers(0, k // 2))
            reach = (k - 1) * dilation + 1
            if here + 2 * padding < reach + 2:
                continue
            groups = now if draw(st.integers(0, 3)) == 0 else 1
            out = groups * draw(st.integers(1, 3)) if groups > 1 else draw(st.integers(1, 20))
            options = {"stride": stride, "padding": padding, "dilation": dilation}
            layers.append(L.conv2d(out, k, groups=groups, **options))
            now, here = out, (here + 2 * padding - reach) // stride + 1
        elif kind == "pool" and here >= 4:
            layers.append(draw(st.sampled_from([L.max_pool2d, L.avg_pool2d]))(2))
            here //= 2
        elif kind == "norm":
            layers.append(L.batch_norm2d())
        elif kind == "activation":
            layers.append(tg.activations[draw(st.sampled_from(ACTIVATIONS))])
        elif kind == "drop":
            layers.append(L.dropout(0.3))
    layers.append(L.flatten())
    if draw(st.booleans()):
        layers += [L.linear(draw(st.integers(1, 40))), tg.activations.relu]
    return L.sequential(*layers, L.linear(3)), (channels, size, size)


OPTIMIZERS = {
    "sgd": {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2},
    "adam": {"lr": 1e-3, "clip_norm": 1.0},
    "rmsprop": {"lr": 1e-3, "clip_value": 0.5},
    "adagrad": {"lr": 1e-2},
}


def steps(model, x, y, name, compiled, count=4):
    """The losses of some steps, and the state after them, from the weights of seed 0."""
    tg.seed(0)
    optimizer = tg.optimizers[name](model.parameters(), **OPTIMIZERS[name])

    def step(x, y):
        optimizer.zero_grad()
        loss = tg.ops.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = tg.compile(step) if compiled else step
    losses = [step(x, y).item() for _ in range(count)]
    if compiled:
        assert isinstance(step.plan.runner, runner.Plan)
    return losses, {k: v.numpy() for k, v in model.state().items()}


def check(model, shape, n, optimizer, dtype="float32", tolerance=2e-4):
    rng = np.random.default_rng(n)
    x = tg.tensor(rng.standard_normal((n, *shape)).astype(dtype))
    y = tg.tensor(rng.integers(0, 3, n))
    model.infer_shape(tg.Spec(x.shape, dtype))
    start = {k: v.numpy() for k, v in model.state().items()}
    expected, expected_state = steps(model, x, y, optimizer, compiled=False)
    model.load_state(start)
    found, state = steps(model, x, y, optimizer, compiled=True)
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    if optimizer != "sgd":
        return  # others make steps of full size from gradients that are rounding errors
    for name, value in expected_state.items():
        np.testing.assert_allclose(state[name], value, rtol=2e-2, atol=2e-2 * tolerance**0.5)


@pytest.mark.slow
@examples
@given(networks(), st.integers(2, 9), st.sampled_from(sorted(OPTIMIZERS)))
def test_random_networks(network, n, optimizer):
    check(*network, n, optimizer)


@pytest.mark.slow
@settings(examples, max_examples=8)
@given(networks(), st.integers(2, 9), st.sampled_from(sorted(OPTIMIZERS)))
def test_random_networks_in_float64(network, n, optimizer):
    with tg.use(dtype="float64"):
        check(*network, n, optimizer, "float64", tolerance=1e-9)


def test_dense_weights_lie_as_their_gradients_do():
    """Products take the transpose of (out, in): a plan's memory for it, and for the optimizer's
    moments, is (in, out), so that no product and no update goes against the order of memory."""
    layer = tg.layers.linear(48)
    x = tg.tensor(np.random.default_rng(0).standard_normal((64, 80)), dtype="float32")
    layer(x)
    optimizer = tg.optimizers.adam(layer.parameters(), lr=0.01)

    @tg.compile
    def step(x):
        optimizer.zero_grad()
        loss = tg.ops.mean(layer(x) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    step(x)
    step(x)
    held = [layer.weight.lender, *(t.lender for t in optimizer.memory[0].values())]
    assert [loan.order for loan in held] == [(1, 0)] * 3
    assert layer.weight.numpy().flags.c_contiguous


@pytest.mark.parametrize(
    "stride, filters, size", [(2, 16, 32), (2, 256, 8), (1, 16, 32), (1, 256, 8)]
)
def test_pieces_are_worth_reading_the_filters(monkeypatch, stride, filters, size):
    """Every piece reads all filters, which do not stay in the cache where they are many: then
    pieces are larger than the cache, as many bytes as the filters or a block of tiles."""
    monkeypatch.setattr("tensorgraph_numba.plan.placement.CACHE", 1 << 17)
    layer = L.conv2d(filters, 3, stride=stride, padding=1, bias=False)
    x = tg.tensor(
        np.random.default_rng(0).standard_normal((32, filters, size, size)), dtype="float32"
    )
    want = layer(x).numpy()
    step = tg.compile(lambda x: layer(x))
    np.testing.assert_allclose(step(x).numpy(), want, atol=2e-4)
    (pieces,) = [stage.what for stage in step.plan.outline().stages if "pieces" in stage.what]
    (samples,) = [int(word) for word in pieces.split() if word.isdigit()]
    own, bytes_of_sample = 32 // step.plan.outline().threads, filters * size**2 * 4
    if filters == 16:
        assert samples * bytes_of_sample <= 1 << 17
    elif stride == 2:
        assert samples == own
    else:
        assert samples >= min(own, 8)


def test_the_gradient_of_a_mean_over_pixels_needs_no_python():
    """It is spread over images, whose channels lie innermost."""
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.standard_normal((8, 3, 6, 6)), dtype="float64")
    w = tg.tensor(rng.standard_normal((5, 3, 3, 3)), dtype="float64", requires_grad=True)

    def step(x):
        images = tg.ops.conv(x, w)
        loss = tg.ops.sum(tg.ops.square(tg.ops.mean(images, axis=(2, 3))))
        return tg.grad(loss, [w])

    compiled = tg.compile(step)
    (want,), (got,) = step(x), compiled(x)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12)
    assert not compiled.plan.runner.hosts


@pytest.mark.parametrize(
    "step",
    [
        lambda x: tg.ops.var(x),  # scales of its mean, each put off to a difference in a next phase
        lambda x: tg.grad(tg.ops.std(x), [x]),
        lambda x: tg.ops.logical_not(tg.ops.logical_xor(x > 0, x > 1)),
    ],
    ids=["small values between phases", "and their gradients", "flags alone"],
)
def test_a_chain_has_all_that_it_reads(step):
    x = tg.tensor(np.random.default_rng(0).standard_normal((6, 5)), requires_grad=True)
    compiled = tg.compile(step)
    for _ in range(2):
        want, got = step(x), compiled(x)
        for a, b in zip(*((y if isinstance(y, list) else [y]) for y in (got, want)), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)


def test_flags_that_come_from_outside_need_no_number_beside_them():
    flags = tg.tensor([True, False, True])
    compiled = tg.compile(lambda x: [tg.ops.logical_not(x)])
    assert compiled(flags)[0].numpy().tolist() == [False, True, False]
