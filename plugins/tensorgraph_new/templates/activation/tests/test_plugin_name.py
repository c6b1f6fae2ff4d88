"""The activation ``plugin_name``: TensorGraph's checks, and its values."""

import numpy
import tensorgraph as tg
from tensorgraph.testing import check_activation


def test_what_every_activation_must_do():
    check_activation("plugin_name").require()


def test_values():
    x = numpy.array([-100.0, 0.0, 1.0, 100.0])
    y = tg.activations.plugin_name(tg.tensor(x)).numpy()
    numpy.testing.assert_allclose(y, [0, 0, 0.8650983882673103, 100], atol=1e-12)
