"""What Numba's plans compute again rather than keep."""

import numpy as np
import pytest

import tensorgraph as tg

pytest.importorskip("numba")

L = tg.layers
relu, tanh = tg.activations.relu, tg.activations.tanh


@pytest.fixture(autouse=True)
def small_values_too(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    monkeypatch.setattr("tensorgraph_numba.plan.again.LARGE", 0)


class Net(tg.Layer):
    """Convolutions with batch norm; ``between`` comes after each norm."""

    def __init__(self, between, shortcut=False, returned=False):
        super().__init__()
        self.first, self.second = L.conv2d(8, 3, padding=1), L.conv2d(8, 3, padding=1)
        self.norm, self.other = L.batch_norm2d(), L.batch_norm2d()
        self.third, self.last = L.conv2d(2, 3), L.batch_norm2d()
        self.between, self.shortcut, self.returned = between, shortcut, returned

    def forward(self, x):
        start = self.between(self.norm(self.first(x)))
        after = self.other(self.second(start))
        self.kept = self.between(after + start if self.shortcut else after)
        return self.last(self.third(self.kept))


def trained(net, x, compiled):
    """The outputs and the weights after three steps."""
    optimizer = tg.optimizers.sgd(net.parameters(), lr=0.05)

    def step(x):
        optimizer.zero_grad()
        out = net(x)
        tg.ops.mean(out * out * out).backward()
        optimizer.step()
        return (out, net.kept) if net.returned else out

    run = tg.compile(step) if compiled else step
    outs = [run(x) for _ in range(3)]
    outs = [out[0].numpy() for out in outs] if net.returned else [out.numpy() for out in outs]
    return outs, {name: value.numpy() for name, value in net.state().items()}, run


def again(net):
    """How often an op of each kind runs in the plan of a training that was checked to be what it
    is in eager mode; of which the results are only ever pieces."""
    x = tg.tensor(np.random.default_rng(0).standard_normal((6, 3, 8, 8)), dtype="float64")
    with tg.use(dtype="float64"):
        net.infer_shape(x.spec)
        start = {name: value.numpy() for name, value in net.state().items()}
        outs, state, _ = trained(net, x, compiled=False)
        net.load_state(start)
        found, weights, run = trained(net, x, compiled=True)
    np.testing.assert_allclose(found, outs, rtol=1e-9, atol=1e-12)
    for name, value in state.items():
        np.testing.assert_allclose(weights[name], value, rtol=1e-7, atol=1e-9, err_msg=name)
    outline = run.plan.outline()
    calls = [c for c in outline.program.calls if c.op.name in ("relu", "tanh", "standardize")]
    return {
        name: (len(values), sum(x in outline.pieces for x in values))
        for name in {c.op.name for c in calls}
        if (values := [c.out for c in calls if c.op.name == name])
    }


def test_normalised_images_are_pieces_in_both_passes():
    assert again(Net(relu))["relu"] == (4, 4)


def test_sums_with_shortcuts_are_kept():
    """They would take two large values to be computed again; and so is the shortcut, which is read
    where what it was made of is not."""
    assert again(Net(relu, shortcut=True))["relu"] == (2, 0)


def test_what_takes_long_is_kept():
    assert again(Net(tanh))["tanh"] == (2, 0)


def test_results_are_kept():
    assert again(Net(relu, returned=True))["relu"] == (3, 2)


def test_small_values_are_kept(monkeypatch):
    monkeypatch.setattr("tensorgraph_numba.plan.again.LARGE", 1 << 18)
    assert again(Net(relu))["relu"] == (2, 0)
