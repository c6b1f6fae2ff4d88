"""tensorgraph_check: everything that the built-in plugins bring passes its checks."""

import numpy as np
import pytest
from tensorgraph_check import find
from tensorgraph_check.checks import backends
from tensorgraph_check.report import NOT_RUN, PASSED

import tensorgraph as tg
from tensorgraph import config, testing

KINDS = {
    "layer": sorted(tg.layers),
    "activation": sorted(tg.activations),
    "loss": sorted(tg.losses),
    "regularizer": sorted(tg.regularizers),
    "optimizer": sorted(tg.optimizers),
}
THINGS = [(kind, name) for kind, names in KINDS.items() for name in names]
# what cannot run for these is known; for all: a reference or worked example, another backend
LEFT = {"reference", "worked example", "other backends", "broadcasting"}


@pytest.mark.parametrize(("kind", "name"), THINGS, ids=lambda x: x)
def test_it_passes(kind, name):
    report = testing.check(name, kind)
    print(report)
    report.require()
    left = {row.check: row.detail for row in report.rows if row.outcome == NOT_RUN}
    for check in LEFT:
        left.pop(check, None)
    if name in ("sequential", "residual"):
        left.pop("run file", None)
    assert not left


OWN = [f"numpy/{k.op}/{k.name}" for k in tg.plugins.backend("numpy").kernels]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(tg.plugins.ops))
def test_ops_pass(name):
    report = testing.check_op(name)
    print(report)
    report.require()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted([*tg.plugins.kernels, *OWN]))
def test_kernels_pass(name):
    report = testing.check_kernel(name)
    print(report)
    report.require()
    assert report["portable kernel"].outcome == PASSED


@pytest.mark.slow
def test_the_backend_numpy_passes():
    report = testing.check_backend("numpy")
    print(report)
    report.require()


def test_the_samples_of_a_backend_reach_every_op():
    """Forward, backward or in a gradient's gradient: none is left out."""
    reached = backends.Reached()
    numpy = find.named("numpy", "backend")[0]
    with config.listen(reached):
        for name, one in backends.cases():
            backends._results(name, one, "float32", "numpy")
        backends.gradients.function(numpy)
    known = {thing.name for thing in tg.plugins.ops.values() if isinstance(thing, tg.Op)}
    assert not known - reached.names


def test_adam_does_as_published():
    """Kingma and Ba (2015), algorithm 1, in plain NumPy."""
    p, m, v, lr = np.array([1.0, -2.0]), 0.0, 0.0, 0.1
    gradients, expected = [[0.5, -4.0], [1.0, 2.0], [-3.0, 0.25]], []
    for t, g in enumerate(np.array(gradients), start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(p.tolist())
    example = {
        "options": {"lr": lr},
        "parameter": [1.0, -2.0],
        "gradients": gradients,
        "expected": expected,
    }
    report = testing.check_optimizer("adam", worked_example=example)
    assert report["worked example"].detail.startswith("3 steps, largest difference")
