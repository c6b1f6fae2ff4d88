"""The loss ``plugin_name``: TensorGraph's checks, and its values."""

import pytest
import tensorgraph as tg
from tensorgraph.testing import check_loss


def test_what_every_loss_must_do():
    check_loss("plugin_name").require()


def test_a_worked_example():
    """Differences of 2 and 0: delta² (sqrt(1 + (2 / delta)²) - 1) / 2."""
    prediction, target = tg.tensor([3.0, 1.0]), tg.tensor([1.0, 1.0])
    for delta, value in ((1.0, (5**0.5 - 1) / 2), (2.0, 2 * (2**0.5 - 1))):
        loss = tg.losses.plugin_name(prediction, target, delta=delta)
        assert loss.item() == pytest.approx(value)


def test_small_differences_keep_their_digits():
    zero = tg.tensor([0.0])
    assert tg.losses.plugin_name(tg.tensor([1e-6]), zero).item() == pytest.approx(5e-13)


def test_shapes_that_differ():
    with pytest.raises(tg.errors.ShapeError, match="reshape one"):
        tg.losses.plugin_name(tg.tensor([[1.0], [2.0]]), tg.tensor([1.0, 2.0]))
