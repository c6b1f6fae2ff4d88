"""How long the metric ``plugin_name`` takes: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg


@pytest.mark.parametrize("count", [1000, 100_000])
def bench_metric(benchmark, count):
    generator = numpy.random.default_rng(0)
    scores, labels = generator.random((count, 10)), generator.integers(0, 10, count)
    benchmark(tg.metrics.plugin_name, scores, labels)
