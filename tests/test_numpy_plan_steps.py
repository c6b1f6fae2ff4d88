"""Plans on NumPy: what they read like, what memory they use, and what an error leaves."""

import numpy as np
import pytest
from tensorgraph_numpy import threads
from tensorgraph_numpy.plan import blocks, pieces

import tensorgraph as tg
from tensorgraph.program import Call, Value

pytestmark = pytest.mark.usefixtures("numpy_alone")


def planned(step, *arguments):
    """The compiled step after a call, and the text of its plan."""
    compiled = tg.compile(step)
    compiled(*arguments)
    return compiled, str(compiled.plan)


def leaf(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape).astype("float32")
    return tg.tensor(values, requires_grad=True)


def test_a_plan_reads_in_phases(small_pieces):
    w = leaf(4, 2, 3, 3)

    def step(x):
        y = tg.ops.max_pool(tg.ops.relu(tg.ops.conv(x, w)), kernel_size=2)
        (y * y).sum().backward()

    text = planned(step, leaf(4, 2, 6, 6).detach())[1]
    assert text.count("pieces of 2 samples") == 1
    # pooling first, in both directions
    assert text.index("max_pool(") < text.index("relu(") < text.index("max_pool_input(")
    assert ": float32[4,4,2,2] = relu(" in text
    assert ": bool[4,4,2,2] = greater(" in text


def test_a_window_in_the_padding_alone_has_no_largest_element():
    """A dilated one may: relu of its maximum, -inf, would be 0."""

    def step(x):
        return tg.ops.max_pool(tg.ops.relu(x), kernel_size=2, padding=1, dilation=2)

    x = leaf(4, 2, 1, 1).detach()
    assert np.isneginf(step(x).numpy()).all()
    np.testing.assert_array_equal(tg.compile(step)(x).numpy(), step(x).numpy())


@pytest.mark.parametrize("used", [1, 3])
def test_elementwise_results_are_those_of_eager_mode_bit_by_bit(small_pieces, used):
    whole = tg.tensor(np.arange(7, dtype="float32")[:, None])  # of no argument, and of its length

    def step(x, y):
        z = tg.ops.sigmoid(x * y + whole) - tg.ops.relu(x)
        return z, z.T, tg.ops.exp(z).reshape(7, 2, 2), x, (z > 0.0), tg.ops.maximum(z, y)

    x, y = leaf(7, 4).detach(), leaf(7, 4, seed=1).detach()
    with threads.use_threads(used):
        step_ = tg.compile(step)
        for _ in range(2):
            for got, want in zip(step_(x, y), step(x, y), strict=True):
                np.testing.assert_array_equal(got.numpy(), want.numpy(), strict=True)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "exp", "erf", "square"])
def test_a_large_result_in_the_memory_of_what_it_is_made_from(name):
    def step(x):
        return getattr(tg.ops, name)(x + 1.0)

    x = leaf(64, 128).detach()
    np.testing.assert_array_equal(tg.compile(step)(x).numpy(), step(x).numpy())


@pytest.mark.parametrize("order", ["plain", "transposed", "strided", "reversed"])
def test_arguments_in_any_memory_order(small_pieces, order):
    w = leaf(3, 2, 2, 2)
    x = np.random.default_rng(3).standard_normal((5, 2, 4, 4)).astype("float32")
    if order == "transposed":
        x = np.asfortranarray(x)
    elif order == "strided":
        x = np.repeat(x, 2, axis=0)[::2]
    elif order == "reversed":
        x = x[::-1]
    argument = tg.Tensor(x, w.backend, tg.Spec(x.shape, "float32"))

    def step(x):
        return tg.ops.conv(x, w).sum(), tg.ops.max_pool(x, kernel_size=2)

    step_ = tg.compile(step)
    for _ in range(2):
        for got, want in zip(step_(argument), step(argument), strict=True):
            np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5)


def test_results_stay_as_they_are_in_later_runs(small_pieces):
    w = leaf(3, 4)
    optimizer = tg.optimizers.adam([w], lr=0.1)

    def step(x):
        y = x @ w.T
        loss = (y * y).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return y, loss, w.detach() + 0.0

    step = tg.compile(step)
    kept = []
    for seed in range(5):
        found = [*step(leaf(6, 4, seed=seed).detach()), w.detach()]
        kept += [(x, x.numpy()) for x in found]
    for x, before in kept:
        np.testing.assert_array_equal(x.numpy(), before)


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("at", range(1, 14))
@pytest.mark.parametrize("used", [1, 2])
def test_an_error_in_a_kernel_leaves_everything_as_it_was(small_pieces, monkeypatch, at, used):
    calls = 0

    def breaking(make):
        def made(*arguments):
            direct = make(*arguments)
            if direct is None:
                return None

            def run(*arrays):
                nonlocal calls
                calls += 1
                if calls == at:
                    raise BrokenError
                return direct.run(*arrays)

            return direct._replace(run=run, into=None)

        return made

    monkeypatch.setattr(pieces, "of_piece", breaking(pieces.of_piece))
    monkeypatch.setattr(pieces, "of_whole", breaking(pieces.of_whole))
    model = tg.layers.sequential(tg.layers.linear(4), tg.layers.batch_norm1d(), tg.layers.linear(2))
    model.infer_shape(tg.Spec((4, 3), "float32"))
    optimizer = tg.optimizers.sgd(model.parameters(), lr=0.1, momentum=0.9)

    def step(x, y):
        loss = tg.ops.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = tg.compile(step)
    x, y = leaf(4, 3).detach(), tg.tensor([0, 1, 1, 0])
    calls = 1000  # not in the first run
    with threads.use_threads(used):
        step(x, y)
        before = {name: t.numpy() for name, t in {**model.state(), **slots(optimizer)}.items()}
        calls = 0
        with pytest.raises(BrokenError):
            step(x, y)
        after = {name: t.numpy() for name, t in {**model.state(), **slots(optimizer)}.items()}
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value, err_msg=name)
        calls = 1000
        assert np.isfinite(step(x, y).item())


def slots(optimizer):
    return {f"{i}.{k}": t for i, memory in enumerate(optimizer.memory) for k, t in memory.items()}


def test_one_layer_twice_and_gradients_that_are_added_up(small_pieces):
    shared = tg.layers.linear(3)
    model = tg.layers.sequential(shared, tg.activations.tanh, shared)
    model.infer_shape(tg.Spec((4, 3), "float32"))

    def step(x):
        loss = (model(x) * model(x)).mean()
        loss.backward()
        return loss

    x = leaf(4, 3).detach()
    step(x)
    step(x)
    want = {name: p.grad.numpy() for name, p in model.named_parameters().items()}
    for p in model.parameters():
        p.grad = None
    compiled = tg.compile(step)
    compiled(x)
    compiled(x)
    for name, p in model.named_parameters().items():
        np.testing.assert_allclose(p.grad.numpy(), want[name], rtol=1e-5)


def test_chains_are_what_reads_each_other():
    x, y = tg.Spec((8,)), tg.Spec((9,))
    a, b, c, d, e = (Value(s) for s in (x, x, x, y, x))
    calls = [
        Call(tg.ops.add, (a, a), {}, b),
        Call(tg.ops.add, (d, d), {}, Value(y)),
        Call(tg.ops.add, (a, a), {}, c),
        Call(tg.ops.add, (b, c), {}, e),
    ]
    assert blocks.connected(calls) == [[calls[0], calls[2], calls[3]], [calls[1]]]
