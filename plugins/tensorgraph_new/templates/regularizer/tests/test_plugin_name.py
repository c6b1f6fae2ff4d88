"""The regularizer ``plugin_name``: TensorGraph's checks, and its values."""

import numpy
import pytest
import tensorgraph as tg
from tensorgraph.testing import check_regularizer


def test_what_every_regularizer_must_do():
    check_regularizer("plugin_name").require()


def test_a_worked_example():
    weight = tg.tensor([[1.0, -2.0]], requires_grad=True)
    parameters = {"0.weight": weight, "0.bias": tg.tensor([9.0])}
    penalty = tg.regularizers.plugin_name(0.5)(parameters)
    assert penalty.item() == pytest.approx(0.5 * (numpy.log(2) + numpy.log(5)))
    penalty.backward()  # 0.5 · 2 w / (1 + w²)
    numpy.testing.assert_allclose(weight.grad.numpy(), [[0.5, -0.4]], rtol=1e-6)


def test_a_model_without_weights():
    with pytest.raises(tg.errors.ConfigError, match="no weight is among the parameters: bias"):
        tg.regularizers.plugin_name()({"bias": tg.tensor([1.0])})
