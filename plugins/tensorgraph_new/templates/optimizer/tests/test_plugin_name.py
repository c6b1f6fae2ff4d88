"""The optimizer ``plugin_name``: TensorGraph's checks, and its own."""

import pytest
import tensorgraph as tg
from tensorgraph.testing import check_optimizer


def test_what_every_optimizer_must_do():
    check_optimizer("plugin_name").require()


def test_the_length_of_the_gradient_does_not_matter():
    p = tg.tensor([1.0, 1.0, 1.0], requires_grad=True)
    p.grad = tg.tensor([1e-6, -1e6, 0.0])
    tg.optimizers.plugin_name([p], lr=0.5).step()
    assert p.numpy().tolist() == [0.5, 1.5, 1.0]


def test_a_momentum_that_is_none():
    with pytest.raises(tg.errors.ConfigError, match="momentum=2 is not a number"):
        tg.optimizers.plugin_name([tg.tensor([1.0])], momentum=2)
