"""Layers against PyTorch, live and recorded, and what a layer promises: paths, state, errors."""

import numpy as np
import pytest
from recorded.cases import LAYERS, MODES, load

import tensorgraph as tg
from tensorgraph.discovery import Plugins
from tensorgraph.errors import ShapeError

try:
    import torch
    from recorded.record import run_layer
except ImportError:
    torch = None
live = pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
nn = tg.layers


def close(got, want, tolerance, what):
    assert got.shape == want.shape and got.dtype == str(want.dtype), what
    np.testing.assert_allclose(got.numpy(), want, tolerance, tolerance, err_msg=what)


def compare(name, found, tolerance):
    """Our layer with PyTorch's state, in training and in evaluation, forward and backward."""
    layer = LAYERS[name][0](tg.layers)
    before = {k[7:]: v for k, v in found.items() if k.startswith("before:")}
    layer.load_state(before)
    for mode, training in MODES:
        layer.train(training)
        x = tg.tensor(found[f"{mode}:x"])
        if x.dtype.startswith("float"):
            x.requires_grad = True
        y = layer(x)
        if mode == "first":
            continue
        close(y, found[f"{mode}:y"], tolerance, f"{mode} output")
        for p in layer.parameters():
            p.grad = None
        y.backward(tg.tensor(found[f"{mode}:seed"]))
        leaves = {"x": x, **layer.named_parameters()}
        grads = [k for k in found if k.startswith(f"{mode}:grad:")]
        assert len(grads) == len([x for x in leaves.values() if x.dtype.startswith("float")])
        for key in grads:
            close(leaves[key.split(":")[2]].grad, found[key], tolerance, key)
    after = {k[6:]: v for k, v in found.items() if k.startswith("after:")}
    assert list(layer.state()) == list(after), "names and order of the state"
    for key, want in after.items():
        close(layer.state()[key], want, tolerance, f"{key} afterwards")


def test_every_registered_layer_has_a_case():
    tried = {name.partition("-")[0] for name in LAYERS} | {"residual"}
    assert {n for n in nn if nn.plugin_of(n) == "nn"} == tried


@pytest.mark.parametrize("name", LAYERS)
def test_recorded(backend, name):
    compare(name, load("layers.npz")[0][name], 1e-10)


@live
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_live(backend, name, dtype):
    with tg.use(dtype=dtype):
        tolerance = 2e-4 if dtype == "float32" else 1e-11
        compare(name, run_layer(name, dtype, seed=len(name) + 99), tolerance)


@live
@pytest.mark.parametrize("name", ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d"])
def test_first_values_have_pytorchs_distribution(name):
    """Uniform: so the bounds and the variance say it all. 20 draws of each."""
    tg.seed(0)
    torch.manual_seed(0)
    ours, theirs = [], []
    for _ in range(20):
        layer, peer = LAYERS[name][0](nn), LAYERS[name][1](torch.nn)
        layer.infer_shape(tg.Spec(LAYERS[name][2]))
        ours.append({k: x.numpy() for k, x in layer.state().items()})
        theirs.append({k: x.numpy() for k, x in peer.state_dict().items()})
    for key in ours[0]:
        mine, other = (np.concatenate([x[key].ravel() for x in s]) for s in (ours, theirs))
        assert mine.std() == pytest.approx(other.std(), rel=0.2), key
        assert np.abs(mine).max() == pytest.approx(np.abs(other).max(), rel=0.15), key
        assert abs(mine.mean()) < 0.2 * np.abs(mine).max(), key


@live
def test_a_whole_model_moves_to_pytorch_and_back():
    ours, theirs = (LAYERS["sequential"][i](space) for i, space in enumerate((nn, torch.nn)))
    x = np.random.default_rng(0).standard_normal((5, 1, 6, 6)).astype("float32")
    ours(tg.tensor(x))
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state().items()})
    with torch.no_grad():
        want = theirs.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours.eval()(tg.tensor(x)).numpy(), want, rtol=1e-4, atol=1e-5)
    again = LAYERS["sequential"][0](nn)
    again.load_state(theirs.state_dict())  # PyTorch's own tensors, before the first input
    np.testing.assert_allclose(again.eval()(tg.tensor(x)).numpy(), want, rtol=1e-4, atol=1e-5)


def test_residual_adds_a_shortcut():
    x = tg.tensor([[1.0, -2.0]])
    double = nn.residual(lambda x: x * 2)
    assert double(x).numpy().tolist() == [[3.0, -6.0]]
    full = nn.residual(lambda x: x * 2, lambda x: x * 10, activation=tg.activations.relu)
    assert full(x).numpy().tolist() == [[12.0, 0.0]]
    with pytest.raises(ShapeError, match=r"residual: the body gives float32\[1,3\] and the shortc"):
        nn.residual(nn.linear(3))(x)


def test_dropout_is_off_in_evaluation_and_keeps_the_mean_in_training():
    x = tg.tensor(np.ones((200, 200), "float32"))
    layer = nn.dropout(0.3)
    tg.seed(3)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    assert y.mean() == pytest.approx(1, abs=0.02)  # 6 standard deviations
    assert layer.eval()(x) is x


def test_a_model_prints_as_the_program_that_made_it():
    model = nn.sequential(
        nn.conv2d(6, 5, padding=2),
        tg.activations.relu,
        nn.sequential(nn.flatten(), nn.linear(3, bias=False)),
        nn.residual(nn.linear(3), activation=tg.activations.relu),
    )
    assert repr(model).splitlines() == [
        "Sequential(",
        "  0: Conv2d(6, 5, padding=2),",
        "  1: relu,",
        "  2: Sequential(",
        "    0: Flatten(),",
        "    1: Linear(3, bias=None),",
        "  ),",
        "  3: Residual(",
        "    body=Linear(3),",
        "    activation=relu,",
        "  ),",
        ")",
    ]
    assert len(model) == 4 and model[-1] is model[3] and next(iter(model)) is model[0]
    assert repr(nn.linear(2).weight) == "Parameter(no shape yet)"


def test_shaping_without_data_makes_parameters_and_touches_nothing():
    model = LAYERS["sequential"][0](nn)
    assert model.infer_shape(tg.Spec((1, 1, 6, 6), "float64")) == tg.Spec((1, 3), "float64")
    assert model[0].weight.spec == tg.Spec((4, 1, 3, 3), "float64")
    assert model[1].num_batches_tracked.item() == 0
    assert model[1].running_mean.numpy().tolist() == [0.0] * 4


def test_a_first_call_that_fails_leaves_nothing_half_built():
    model = nn.sequential(nn.linear(6), nn.batch_norm1d(), nn.linear(2), nn.conv2d(3, 3))
    known = nn.linear(4)
    known(tg.tensor(np.ones((2, 6), "float32")))
    weight = known.weight.numpy()
    with pytest.raises(ShapeError, match=r"conv2d: takes \(N, C, H, W\) and gets float32\[5,2\]"):
        model(tg.tensor(np.ones((5, 7), "float32")))
    assert not any(p.built for p in model.named_state().values())
    right = nn.sequential(model[0], model[1], known)
    assert right(tg.tensor(np.ones((5, 9), "float32"))).shape == (5, 4)
    model = nn.sequential(known, nn.conv2d(3, 3))
    with pytest.raises(ShapeError):
        model(tg.tensor(np.ones((5, 6), "float32")))
    np.testing.assert_array_equal(known.weight.numpy(), weight, "built before, and so kept")


def test_parameters_are_made_where_the_input_is_and_of_its_dtype(backend):
    layer = nn.linear(2)
    x = tg.tensor(np.ones((1, 3)))
    with tg.use(backend="numpy"):
        layer(x)
    assert layer.weight.backend is backend and layer.weight.dtype == "float64"


def test_a_slice_of_a_model_shares_its_layers():
    model = nn.sequential(nn.linear(3), tg.activations.relu, nn.linear(2))
    head = model[:2]
    assert len(head) == 2 and head[0] is model[0] and head[-1] is tg.activations.relu


class Snake(tg.Layer):
    """A stranger's layer: x + sin²(a x)/a, with one ``a`` for each feature."""

    def __init__(self, a=1.0):
        self.a = a
        self.rates = [tg.Parameter(tg.initializers.constant(a))]
        self.inner = {"first": nn.linear(3)}

    def build(self, x):
        self.rates[0].initialize(x.shape[-1:], x.dtype)

    def forward(self, x):
        rate = self.rates[0]
        return self.inner["first"](x + tg.ops.square(tg.ops.sin(x * rate)) / rate)


def test_a_strangers_layer_enters_by_the_hook_and_is_a_stage_like_any_other():
    class Acme:
        @staticmethod
        @tg.hookimpl
        def register_layers(register):
            register("snake", Snake)

    plugins = Plugins()
    assert plugins.register(Acme, "acme") == [("layer", "snake")]
    model = nn.sequential(plugins.layers.snake(a=2.0), nn.linear(1))
    x = np.array([[0.5, 1.0]])
    model(tg.tensor(x)).sum().backward()
    names = ["0.rates.0", "0.inner.first.weight", "0.inner.first.bias", "1.weight", "1.bias"]
    assert list(model.state()) == names
    assert all(p.grad is not None for p in model.parameters())
    assert repr(model).splitlines()[1:4] == [
        "  0: Snake(a=2.0", "    inner.first: Linear(3)", "  ),"
    ]  # fmt: skip
    identity = {"0.inner.first.weight": np.eye(2, 2), "0.inner.first.bias": np.zeros(2)}
    model[0].inner["first"] = nn.linear(2)
    model.load_state(identity, strict=False)
    want = x + np.sin(2 * x) ** 2 / 2
    np.testing.assert_allclose(model[0](tg.tensor(x)).numpy(), want, rtol=1e-12)
