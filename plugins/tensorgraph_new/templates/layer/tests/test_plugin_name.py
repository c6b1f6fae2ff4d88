"""The layer ``plugin_name``: TensorGraph's checks, and its own."""

import numpy
import pytest
import tensorgraph as tg
from tensorgraph.testing import check_layer


def test_what_every_layer_must_do():
    check_layer("plugin_name").require()


def test_the_slope_is_where_it_starts():
    x = numpy.linspace(-3, 3, 24).reshape(2, 3, 4)
    y = tg.layers.plugin_name(slope=2.0)(tg.tensor(x))
    numpy.testing.assert_allclose(y.numpy(), x / (1 + numpy.exp(-2 * x)))


def test_each_channel_learns_its_own_slope():
    layer = tg.layers.plugin_name()
    x = numpy.ones((2, 3, 4, 4), "float32") * numpy.array([[[[1]], [[-1]], [[0]]]])
    layer(tg.tensor(x, dtype="float32")).sum().backward()
    assert layer.weight.shape == (3, 1, 1)
    assert [numpy.sign(g) for g in layer.weight.grad.numpy().ravel()] == [1, 1, 0]


def test_what_has_no_channels():
    with pytest.raises(tg.errors.ShapeError, match="has no channels"):
        tg.layers.plugin_name()(tg.tensor([1.0, 2.0]))
