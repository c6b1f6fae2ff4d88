"""Initializers: their fans and bounds against PyTorch's, their distributions against theory."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import ConfigError, ShapeError

try:
    import torch
except ImportError:
    torch = None
live = pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
init = tg.initializers

# name, options, PyTorch's name, its options
SCALED = [
    ("xavier_uniform", {}, "xavier_uniform_", {}),
    ("xavier_uniform", {"gain": 1.7}, "xavier_uniform_", {"gain": 1.7}),
    ("xavier_normal", {}, "xavier_normal_", {}),
    ("he_uniform", {}, "kaiming_uniform_", {}),
    ("he_uniform", {"a": 5**0.5}, "kaiming_uniform_", {"a": 5**0.5}),
    ("he_normal", {"mode": "fan_out"}, "kaiming_normal_", {"mode": "fan_out"}),
    ("he_normal", {"a": 0.2}, "kaiming_normal_", {"a": 0.2}),
]


def draw(name, shape, dtype="float32", **options):
    tg.seed(7)
    x = init[name](**options)(tg.Spec(shape, dtype))
    assert x.spec == tg.Spec(shape, dtype) and x.numpy().dtype == dtype
    return x.numpy()


@live
@pytest.mark.parametrize("shape", [(60, 300), (30, 20, 5, 6)])
@pytest.mark.parametrize(("name", "options", "peer", "theirs"), SCALED)
def test_scaled_initializers_are_pytorchs(backend, name, options, peer, theirs, shape):
    """18,000 numbers of a normal distribution have their deviation within 2.1 % (4 sigma)."""
    torch.manual_seed(0)
    want = getattr(torch.nn.init, peer)(torch.empty(shape), **theirs).numpy()
    got = draw(name, shape, **options)
    assert got.std() == pytest.approx(want.std(), rel=0.03)
    assert abs(got.mean()) < 0.03 * got.std()
    if "uniform" in name:
        assert np.abs(got).max() == pytest.approx(np.abs(want).max(), rel=1e-3)
    else:  # the excess kurtosis of a normal distribution is 0, of a uniform one -1.2
        assert abs(((got / got.std()) ** 4).mean() - 3) < 0.2


def test_scaled_initializers_have_the_published_variance(backend):
    """Of 50 outputs from 40 inputs with filters of 3 x 4: fan_in 480, fan_out 600."""
    shape = (50, 40, 3, 4)
    for name, options, variance in [
        ("xavier_uniform", {}, 2 / (480 + 600)),
        ("xavier_normal", {"gain": 2.0}, 4 * 2 / (480 + 600)),
        ("he_uniform", {}, 2 / 480),
        ("he_normal", {"mode": "fan_out"}, 2 / 600),
        ("he_normal", {"a": 1.0}, 1 / 480),
    ]:
        assert draw(name, shape, **options).var() == pytest.approx(variance, rel=0.04), name


def test_plain_initializers(backend):
    assert draw("zeros", (2, 3)).tolist() == [[0.0] * 3] * 2
    assert draw("ones", (2,), "int64").tolist() == [1, 1]
    assert draw("constant", (), "float64", value=0.1).tolist() == 0.1
    x = draw("uniform", (20_000,), low=-1.0, high=3.0)
    assert x.min() >= -1 and x.max() < 3 and x.mean() == pytest.approx(1, abs=0.03)
    x = draw("normal", (20_000,), "float64", mean=2.0, std=0.5)
    assert (x.mean(), x.std()) == pytest.approx((2, 0.5), abs=0.015)


def test_constants_have_memory_of_their_own(backend):
    x = init.zeros()(tg.Spec((4, 4)))
    assert backend.name != "numpy" or x.data.flags.writeable


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 6), (40, 9), (9, 40), (8, 3, 2, 2), (1, 5), (64, 64)])
def test_orthogonal(backend, shape, dtype):
    w = draw("orthogonal", shape, dtype, gain=1.5).reshape(shape[0], -1).astype("float64") / 1.5
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    exact = 1e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(product, np.eye(len(product)), atol=exact)


def test_orthogonal_matrices_are_evenly_distributed():
    """Over O(n) the trace has mean 0 and variance 1, and so has the second power's trace mean 1
    (Diaconis and Shahshahani, 1994). 400 draws."""
    tg.seed(1)
    initializer = init.orthogonal()
    draws = [initializer(tg.Spec((5, 5), "float64")).numpy() for _ in range(400)]
    traces = np.array([np.trace(w) for w in draws])
    assert abs(traces.mean()) < 0.2 and traces.var() == pytest.approx(1, abs=0.3)
    assert np.mean([np.trace(w @ w) for w in draws]) == pytest.approx(1, abs=0.3)
    assert np.mean([np.linalg.det(w) for w in draws]) == pytest.approx(0, abs=0.2)


def test_the_same_seed_gives_the_same_weights_and_another_others():
    def weight(seed):
        tg.seed(seed)
        layer = tg.layers.linear(3)
        layer.infer_shape(tg.Spec((1, 4)))
        return layer.weight.numpy()

    assert weight(1).tobytes() == weight(1).tobytes() != weight(2).tobytes()


def test_layers_take_initializers():
    layer = tg.layers.conv2d(
        4, 3, initializer=init.constant(2.0), bias_initializer=init.constant(-1.0)
    )
    layer.infer_shape(tg.Spec((1, 2, 5, 5)))
    assert set(layer.weight.numpy().ravel()) == {2.0} and set(layer.bias.numpy()) == {-1.0}
    layer = tg.layers.embedding(3, 2, initializer=init.zeros())
    layer.infer_shape(tg.Spec((1,), "int64"))
    assert not layer.weight.numpy().any()


def test_what_initializers_refuse():
    with pytest.raises(ConfigError, match=r"he_uniform: mode='in' is neither 'fan_in' nor 'fan_o"):
        init.he_uniform(mode="in")
    for name in ("he_normal", "xavier_uniform", "orthogonal"):
        with pytest.raises(ConfigError, match=r"is for weights of two or more axes, not float32\["):
            init[name]()(tg.Spec((3,)))

    layer = tg.layers.linear(3, initializer=lambda spec: tg.tensor([1.0]))
    with pytest.raises(ShapeError, match=r"initializer of float32\[3,2\] returned float32\[1\]"):
        layer(tg.tensor([[1.0, 2.0]]))
