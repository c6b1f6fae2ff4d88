"""Every op on every available backend by every kernel, also those of installed plugins.

pytest bench [-k conv] [--shapes FILE|SET] [--all-shapes] [--benchmark-json FILE]

The table compares kernels on the same shape. ``tensorgraph bench`` is the same without pytest.
"""

from __future__ import annotations

import functools

import pytest
from tensorgraph_bench import cases, clock
from tensorgraph_bench.cases import Selection
from tensorgraph_bench.limits import limits
from tensorgraph_bench.machine import fingerprint, machine, versions
from tensorgraph_bench.results import devices, figures
from tensorgraph_bench.verify import ready

from tensorgraph import config


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        options = metafunc.config.option
        wanted = Selection(shapes=tuple(options.shapes), every=options.all_shapes)
        metafunc.parametrize("case", cases.cases(wanted), ids=str)


@functools.cache
def clock_for(backend):
    """One for all cases: pytest-benchmark finds out how precise each is."""
    return clock.clock_of(config.get_backend(backend))


@functools.cache
def conditions(backend):
    """On what all of its cases are measured."""
    described = machine(devices([backend]))
    return {
        "machine": described,
        "fingerprint": fingerprint(described),
        "threads": described["threads"],
        "versions": versions(),
    }


@pytest.fixture
def timed(benchmark, monkeypatch):
    """Times a case, with the clock of its backend, which is read once before and once after a batch
    of calls; what it comes to goes to ``extra_info``."""

    def run(case):
        made = ready(case)
        benchmark.group = str(case.sample)
        monkeypatch.setattr(benchmark, "_timer", clock_for(case.backend))
        with case.pinned():
            benchmark(made.call)
        if benchmark.enabled:
            best = limits(case.backend, made.dtype)
            benchmark.extra_info |= {
                "backend": case.backend,
                "kernel": case.kernel,
                "chosen": case.chosen,
                **figures(made, benchmark.stats.stats.min, best)._asdict(),
                **conditions(case.backend),
            }

    return run


def bench_op(timed, case):
    timed(case)
