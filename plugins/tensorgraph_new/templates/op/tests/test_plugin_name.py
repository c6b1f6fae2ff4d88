"""The op ``plugin_name``: TensorGraph's own checks, and its values."""

import numpy
import pytest
import tensorgraph as tg
from tensorgraph.testing import check_op


def by_numpy(x, y, eps=1e-3):
    return numpy.sqrt(x**2 + y**2 + eps**2)


def test_what_every_op_must_do():
    check_op("plugin_name", reference=by_numpy).require()


def test_values_and_broadcasting():
    x, y = numpy.linspace(-2, 2, 12).reshape(3, 4), numpy.linspace(0, 1, 4)
    z = tg.ops.plugin_name(tg.tensor(x), tg.tensor(y), eps=0.5)
    numpy.testing.assert_allclose(z.numpy(), by_numpy(x, y, 0.5))


def test_the_gradient_is_finite_at_zero():
    x, y = (tg.tensor([0.0, 3.0], requires_grad=True) for _ in range(2))
    tg.ops.plugin_name(x, y).sum().backward()
    numpy.testing.assert_allclose(x.grad.numpy(), [0, numpy.sqrt(0.5)], rtol=1e-6)


def test_an_eps_that_is_none():
    with pytest.raises(tg.errors.ShapeError, match="eps=0 is not a number above 0"):
        tg.ops.plugin_name(tg.tensor([1.0]), tg.tensor([1.0]), eps=0)
