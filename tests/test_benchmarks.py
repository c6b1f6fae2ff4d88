"""Every public op has a benchmark, and what is timed is a call that works."""

import inspect

from tensorgraph_bench.samples import SAMPLES

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT


def test_every_op_has_a_benchmark():
    public = {
        name
        for name in dir(tg.ops)
        if not name.startswith("_")
        and (isinstance(getattr(tg.ops, name), tg.Op) or inspect.isfunction(getattr(tg.ops, name)))
    }
    where = "plugins/tensorgraph_bench/samples.py"
    assert public - {s.op for s in SAMPLES} == set(), f"add a row to {where}"
    assert {s.op for s in SAMPLES} - public == set(), f"{where} names what is no op"


def test_the_benchmarks_can_be_called():
    assert len({str(s) for s in SAMPLES}) == len(SAMPLES), "two samples have one name"
    for sample in SAMPLES:
        if sample.gradient:
            continue  # there is none of tensors without values
        out = sample.call(*[tg.Tensor(None, ABSTRACT, spec) for spec in sample.specs()])
        assert isinstance(out, tg.Tensor | tuple | list), sample
