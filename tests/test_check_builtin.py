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


LR = 0.1


def sgd(p, g, t, kept):
    """Sutskever et al. (2013), as PyTorch writes it."""
    kept["v"] = 0.9 * kept.get("v", 0.0) + g
    return p - LR * kept["v"]


def adam(p, g, t, kept):
    """Kingma and Ba (2015), algorithm 1."""
    kept["m"] = 0.9 * kept.get("m", 0.0) + 0.1 * g
    kept["v"] = 0.999 * kept.get("v", 0.0) + 0.001 * g * g
    return p - LR * (kept["m"] / (1 - 0.9**t)) / (np.sqrt(kept["v"] / (1 - 0.999**t)) + 1e-8)


def adamw(p, g, t, kept):
    """Loshchilov and Hutter (2019), algorithm 2."""
    return adam(p, g, t, kept) - LR * 0.3 * p


def rmsprop(p, g, t, kept):
    """Tieleman and Hinton (2012), lecture 6.5; eps outside of the root, as in PyTorch."""
    kept["v"] = 0.99 * kept.get("v", 0.0) + 0.01 * g * g
    return p - LR * g / (np.sqrt(kept["v"]) + 1e-8)


def adagrad(p, g, t, kept):
    """Duchi et al. (2011)."""
    kept["v"] = kept.get("v", 0.0) + g * g
    return p - LR * g / (np.sqrt(kept["v"]) + 1e-10)


PUBLISHED = [
    (sgd, {"momentum": 0.9}),
    (adam, {}),
    (adamw, {"weight_decay": 0.3}),
    (rmsprop, {}),
    (adagrad, {}),
]


@pytest.mark.parametrize(
    ("algorithm", "options"), PUBLISHED, ids=lambda x: getattr(x, "__name__", "")
)
def test_optimizers_do_as_published(algorithm, options):
    """Worked out in plain NumPy."""
    gradients, expected, kept = [[0.5, -4.0], [1.0, 2.0], [-3.0, 0.25]], [], {}
    p = np.array([1.0, -2.0])
    for t, g in enumerate(np.array(gradients), start=1):
        p = algorithm(p, g, t, kept)
        expected.append(p.tolist())
    example = {
        "options": {"lr": LR, **options},
        "parameter": [1.0, -2.0],
        "gradients": gradients,
        "expected": expected,
    }
    report = testing.check_optimizer(algorithm.__name__, worked_example=example)
    assert report["worked example"].outcome == PASSED, report["worked example"].detail


def test_every_optimizer_is_compared_with_what_was_published():
    assert {algorithm.__name__ for algorithm, _ in PUBLISHED} == set(tg.optimizers)
