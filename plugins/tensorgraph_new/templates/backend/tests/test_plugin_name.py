"""The backend ``plugin_name``: TensorGraph's checks, and its own."""

import numpy
import pytest
import tensorgraph as tg
from tensorgraph.testing import check_backend


def test_what_every_backend_must_do():
    check_backend("plugin_name").require()


def test_products_are_summed_in_float64():
    x = numpy.random.default_rng(0).standard_normal((64, 4096)).astype("float32")
    exact = x.astype("float64") @ x.T.astype("float64")
    with tg.use(backend="plugin_name"):
        found = (tg.tensor(x) @ tg.tensor(x.T)).numpy()
    assert found.dtype == "float32"
    numpy.testing.assert_array_equal(found, exact.astype("float32"))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_trains_on_it(compiled):
    with tg.use(backend="plugin_name"):
        tg.seed(0)
        model = tg.layers.linear(1)
        x = tg.tensor(numpy.random.default_rng(0).standard_normal((32, 3), "float32"))
        y = x.sum(axis=1, keepdims=True)
        model(x)
        optimizer = tg.optimizers.sgd(model.parameters(), lr=0.1)

        def step(x, y):
            loss = tg.losses.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        step = tg.compile(step) if compiled else step
        losses = [step(x, y).item() for _ in range(50)]
    assert losses[-1] < 1e-3 * losses[0]
