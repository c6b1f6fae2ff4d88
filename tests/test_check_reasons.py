"""tensorgraph_check: why something could not be checked, and the words for it."""

import numpy as np
import pytest
from planted.backends import Plain
from planted.functions import unary
from planted.kernels import kernel

import tensorgraph as tg
from tensorgraph import testing
from tensorgraph.errors import PluginError

COULD_NOT = "could not run"


def flipped(x):
    return tg.ops.logical_not(x > 0)


def no_rule():
    return unary(lambda xp, x: xp.floor(x))


REASONS = [
    ("gradients", "activation", flipped, {}, "no sample has floating-point inputs and results"),
    ("gradients", "op", no_rule, {}, "the op has no gradient rule; @op.vjp gives it one"),
    ("broadcasting", "op", no_rule, {}, "it does not take two inputs of one shape and dtype"),
    ("reference", "activation", flipped, {}, "no reference is given: reference=f, with f(*arr"),
    ("run file", "activation", flipped, {}, "it is registered under no name, and a run file"),
    ("worked example", "optimizer", "sgd", {}, "no worked example is given: worked_example={"),
    ("run file", "layer", "sequential", {}, "it is made of layers, which a run file holds only"),
    ("sizes 0 and 1", "op", "normal", {}, "its inputs have no axes"),
    ("non-contiguous input", "op", "normal", {}, "its inputs have no axes"),
    ("sizes 0 and 1", "op", "random_bits", {}, "all are refused: random_bits: the key is"),
    ("broadcasting", "loss", "l1_loss", {}, "it refuses shapes that differ: l1_loss: predictions"),
    ("broadcasting", "op", lambda x, y: tg.ops.sum(x) - tg.ops.sum(y), {}, "it is not elementwise"),
    ("own kernels", "backend", Plain, {}, "it brings no kernel: every op runs on its portable"),
    ("gradients", "op", "max_pool_pick", {}, "left out: its rule counts on inputs that belong"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(tg.Op, "declared", dict(tg.Op.declared))


@pytest.mark.parametrize(("check", "kind", "thing", "given", "reason"), REASONS)
def test_what_could_not_run_says_why(check, kind, thing, given, reason):
    made = thing() if thing in (no_rule, Plain) else thing
    row = testing.check(made, kind, **given)[check]
    assert row.outcome == COULD_NOT
    assert reason in row.detail


@pytest.mark.parametrize(
    ("thing", "kind", "reason"),
    [
        (lambda x: None, "activation", "TypeError: it returned NoneType, not a tensor"),
        (lambda: 3, "layer", "TypeError: it made int, not a tensorgraph.Layer"),
        (kernel("exp", np.exp, lambda x: False), "kernel", "'numpy/exp/faulty' does not support"),
        (lambda x: x.reshape("no"), "activation", "test_check_reasons.py, line"),
    ],
)
def test_what_no_input_suits_is_not_right(thing, kind, reason):
    report = testing.check(thing, kind)
    assert not report.ok
    assert report["samples"].outcome == COULD_NOT
    assert reason in report["samples"].detail
    with pytest.raises(PluginError, match="samples: could not run: no input that was tried"):
        report.require()


@pytest.mark.parametrize("dtype", ["float32", None])
def test_a_kernel_is_tried_in_the_dtypes_that_it_supports(dtype):
    def supports(x):
        return dtype in (None, x.dtype)

    report = testing.check(kernel("exp", np.exp, supports), kind="kernel").require()
    assert report["dtype"].detail == f"preserved in {dtype or 'float32 and float64'}"
    report = testing.check(
        kernel("maximum", np.maximum, lambda x, y: supports(x)), kind="kernel"
    ).require()
    assert report["broadcasting"].outcome == "passed"


def test_a_kernel_without_a_portable_one_and_one_that_cannot_be_read():
    op = unary(None)
    op.portable = None
    op.__module__ = __name__
    globals()["faulty"] = op
    tg.Op.declared["faulty"] = __name__
    report = testing.check_kernel(tg.Kernel("faulty", "mine", np.sqrt))
    assert (
        report["portable kernel"].detail == "op 'faulty' has no portable kernel; give a reference"
    )
    del globals()["faulty"]
    with pytest.raises(
        PluginError, match=r"op 'faulty' is declared in .* and is no attribute of it"
    ):
        testing.check_kernel(tg.Kernel("faulty", "mine", np.sqrt))
    report = testing.check_kernel(tg.Kernel("exp", "mine", max))
    assert report["signature"].detail == "its signature cannot be read"


def test_what_the_settings_of_a_check_leave_behind():
    """Nothing: neither seed nor dtype nor backend."""
    tg.seed(5)
    before = tg.config.random_state(), tg.config.current()
    testing.check_activation("tanh")
    assert (tg.config.random_state(), tg.config.current()) == before
