"""Every public op has a benchmark, and what is timed is a call that works."""

import importlib
import inspect
from pathlib import Path

import pytest

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT


@pytest.fixture(scope="module")
def samples():
    spec = importlib.util.spec_from_file_location(
        "samples", Path(__file__).parent.parent / "bench" / "samples.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SAMPLES


def test_every_op_has_a_benchmark(samples):
    public = {
        name
        for name in dir(tg.ops)
        if not name.startswith("_")
        and (isinstance(getattr(tg.ops, name), tg.Op) or inspect.isfunction(getattr(tg.ops, name)))
    }
    assert public - {s.op for s in samples} == set(), "add a row to bench/samples.py"
    assert {s.op for s in samples} - public == set(), "bench/samples.py names what is no op"


def test_the_benchmarks_can_be_called(samples):
    assert len({str(s) for s in samples}) == len(samples), "two samples have one name"
    for sample in samples:
        shaped = [
            tg.Tensor(None, ABSTRACT, tg.Spec(x.shape, str(x.dtype))) for x in sample.arrays()
        ]
        out = sample.call(*shaped)
        assert isinstance(out, tg.Tensor | tuple | list), sample
