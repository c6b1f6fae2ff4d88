"""The optimizer ``plugin_name``: TensorGraph's own checks, with an example worked by hand."""

import pytest
import tensorgraph as tg
from tensorgraph.testing import check_optimizer

WORKED_EXAMPLE = {
    "options": {"lr": 0.25, "momentum": 0.5},
    "parameter": [1.0, -1.0, 0.5],
    "gradients": [[2.0, -4.0, 0.0], [-0.5, 3.0, 1.0]],  # so m = 1, -2, 0 and then 0.25, 0.5, 0.5
    "expected": [[0.75, -0.75, 0.5], [0.5, -1.0, 0.25]],
}


def test_what_every_optimizer_must_do():
    check_optimizer("plugin_name", worked_example=WORKED_EXAMPLE).require()


def test_a_momentum_that_is_none():
    with pytest.raises(tg.errors.ConfigError, match="momentum=2 is not a number"):
        tg.optimizers.plugin_name([tg.tensor([1.0])], momentum=2)
