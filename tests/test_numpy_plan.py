"""Plans on NumPy: a compiled step and the same step run eagerly give the same numbers."""

import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorgraph_numpy import threads

import tensorgraph as tg

pytestmark = pytest.mark.usefixtures("numpy_alone")

examples = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
workers = st.sampled_from([1, 2, 3])


@st.composite
def stages(draw, images):
    """Some layers and activations, as factories, and what of it is left as a vector."""
    layers, made = tg.layers, []
    relu = tg.activations.relu
    for _ in range(draw(st.integers(1, 2)) if images else 0):
        stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 1))
        filters, bias = draw(st.integers(1, 3)), draw(st.booleans())
        conv = functools.partial(layers.conv2d, filters, 2, stride=stride, padding=padding)
        made.append(functools.partial(conv, bias=bias))
        kinds = ["norm", "relu", "max", "average", "dropout", "tanh"]
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=3, unique=True)):
            made.append(
                {
                    "norm": layers.batch_norm2d,
                    "relu": lambda: relu,
                    "max": lambda: layers.max_pool2d(2, stride=1, padding=1),
                    "average": lambda: layers.avg_pool2d(2, padding=1),
                    "dropout": lambda: layers.dropout(0.3),
                    "tanh": lambda: tg.activations.tanh,
                }[kind]
            )
    made.append(layers.flatten)
    for _ in range(draw(st.integers(0, 2))):
        made.append(functools.partial(layers.linear, draw(st.integers(1, 5))))
        kinds = ["norm", "layer_norm", "relu", "sigmoid", "gelu", "dropout"]
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=2, unique=True)):
            made.append(
                {
                    "norm": layers.batch_norm1d,
                    "layer_norm": layers.layer_norm,
                    "relu": lambda: relu,
                    "sigmoid": lambda: tg.activations.sigmoid,
                    "gelu": lambda: tg.ops.gelu,
                    "dropout": lambda: layers.dropout(0.5),
                }[kind]
            )
    return [*made, functools.partial(layers.linear, 3)]


@st.composite
def trainings(draw):
    """A network, an optimizer with its options, a regularizer and whether gradients add up."""
    images = draw(st.booleans())
    optimizer, options = draw(
        st.sampled_from(
            [
                ("sgd", {}),
                ("sgd", {"momentum": 0.9, "nesterov": True}),
                ("adam", {}),
                ("adamw", {"clip_norm": 0.1}),
                ("rmsprop", {"clip_value": 0.01}),
            ]
        )
    )
    return {
        "shape": (draw(st.integers(1, 2)), 9, draw(st.integers(9, 10))) if images else (5,),
        "stages": draw(stages(images)),
        "optimizer": functools.partial(tg.optimizers[optimizer], lr=0.01, **options),
        "penalty": draw(st.sampled_from([None, "l1", "l2"])),
        "frozen": draw(st.integers(0, 3)),
        "accumulated": draw(st.booleans()),
    }


def trained(training, compiled, batches, dtype):
    """The losses and the state after some steps, with smaller batches among them."""
    with tg.use(dtype=dtype):
        tg.seed(1)
        model = tg.layers.sequential(*[make() for make in training["stages"]])
        model.infer_shape(tg.Spec((4, *training["shape"]), dtype))
        parameters = model.parameters()
        for p in parameters[: training["frozen"]]:
            p.requires_grad = len(parameters) <= training["frozen"]
        optimizer = training["optimizer"](parameters)
        penalty = tg.regularizers[training["penalty"]](0.1) if training["penalty"] else None

        def loss_of(x, y):
            loss = tg.ops.cross_entropy(model(x), y)
            if penalty is not None:
                loss = loss + penalty(model.named_parameters())
            return loss

        def gather(x, y):
            loss = loss_of(x, y)
            loss.backward()
            return loss

        def step(x, y):
            loss = loss_of(x, y)
            if not training["accumulated"]:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return {"loss": loss, "same": loss}

        if compiled:
            step, gather = tg.compile(step), tg.compile(gather)
        rng, losses = np.random.default_rng(2), []
        for n in batches:
            x = tg.tensor(rng.standard_normal((n, *training["shape"])).astype(dtype))
            y = tg.tensor(rng.integers(0, 3, n))
            if training["accumulated"]:
                optimizer.zero_grad()
                losses += [gather(x, y).item(), gather(x, y).item()]
            losses.append(step(x, y)["loss"].item())
        return losses, {name: x.numpy() for name, x in model.state().items()}


def assert_same(got, want, tolerance):
    np.testing.assert_allclose(got[0], want[0], rtol=tolerance)
    for name, x in want[1].items():
        scale = max(1e-3, np.abs(x).max())
        np.testing.assert_allclose(got[1][name] / scale, x / scale, atol=tolerance, err_msg=name)


@examples
@given(trainings(), st.integers(3, 9), workers)
def test_training_in_pieces(small_pieces, training, n, used):
    batches = [n, n, n, n - 1, n]
    want = trained(training, False, batches, "float64")
    with threads.use_threads(used):
        got = trained(training, True, batches, "float64")
    assert_same(got, want, 1e-6)


@examples
@given(trainings(), st.integers(2, 9))
def test_training_whole(training, n):
    batches = [n, n, n]
    want = trained(training, False, batches, "float64")
    assert_same(trained(training, True, batches, "float64"), want, 1e-6)
