"""The kernel ``plugin_name``: TensorGraph's checks, and its values."""

import math

import numpy
import pytest
import tensorgraph as tg
from tensorgraph.testing import check_kernel


def test_what_every_kernel_must_do():
    check_kernel("numpy/logsumexp/plugin_name").require()


@pytest.mark.parametrize("axis", [0, 1, (0, 2), None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_it_agrees_with_the_portable_kernel(axis, keepdims):
    x = tg.tensor(numpy.random.default_rng(0).normal(0, 30, (4, 5, 6)))
    found = []
    for name in ("plugin_name", "portable"):
        with tg.use(kernels={"logsumexp": name}):
            found.append(tg.ops.logsumexp(x, axis=axis, keepdims=keepdims).numpy())
    assert found[0].shape == found[1].shape
    numpy.testing.assert_allclose(*found, rtol=1e-14)


@pytest.mark.parametrize("rows", [[-math.inf, -math.inf], [math.inf, 0.0], [math.nan, 0.0]])
def test_what_is_not_finite(rows):
    with tg.use(kernels={"logsumexp": "plugin_name"}):
        found = tg.ops.logsumexp(tg.tensor([rows]), axis=1).numpy()
    numpy.testing.assert_array_equal(found, [rows[0]])
