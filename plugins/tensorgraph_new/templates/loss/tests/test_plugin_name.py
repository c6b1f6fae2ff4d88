"""The loss ``plugin_name``: TensorGraph's own checks, and its values."""

import numpy
import pytest
import tensorgraph as tg
from tensorgraph.testing import check_loss


def by_numpy(prediction, target, delta=1.0):
    r = (prediction - target) / delta
    return delta**2 * (numpy.sqrt(1 + r * r) - 1).mean()


def test_what_every_loss_must_do():
    check_loss("plugin_name", reference=by_numpy).require()


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.0])
def test_values(delta):
    prediction, target = numpy.random.default_rng(0).standard_normal((2, 8, 3))
    loss = tg.losses.plugin_name(tg.tensor(prediction), tg.tensor(target), delta=delta)
    assert loss.item() == pytest.approx(by_numpy(prediction, target, delta))


def test_small_differences_keep_their_digits():
    zero = tg.tensor([0.0])
    assert tg.losses.plugin_name(tg.tensor([1e-6]), zero).item() == pytest.approx(5e-13)


def test_shapes_that_differ():
    with pytest.raises(tg.errors.ShapeError, match="reshape one"):
        tg.losses.plugin_name(tg.tensor([[1.0], [2.0]]), tg.tensor([1.0, 2.0]))
