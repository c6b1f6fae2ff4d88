"""The op ``plugin_name``: TensorGraph's checks, and its values."""

import numpy
import pytest
import tensorgraph as tg
from tensorgraph.testing import check_op


def test_what_every_op_must_do():
    check_op("plugin_name").require()


def test_values_and_broadcasting():
    x, y = tg.tensor([[2.0], [6.0]]), tg.tensor([3.0, -2.0])
    z = tg.ops.plugin_name(x, y, eps=6.0)
    numpy.testing.assert_allclose(z.numpy(), [[7, 44**0.5], [9, 76**0.5]])


def test_the_gradient_is_finite_at_zero():
    x, y = (tg.tensor([0.0, 3.0], requires_grad=True) for _ in range(2))
    tg.ops.plugin_name(x, y).sum().backward()
    numpy.testing.assert_allclose(x.grad.numpy(), [0, numpy.sqrt(0.5)], rtol=1e-6)


def test_an_eps_that_is_none():
    with pytest.raises(tg.errors.ShapeError, match="eps=0 is not a number above 0"):
        tg.ops.plugin_name(tg.tensor([1.0]), tg.tensor([1.0]), eps=0)
