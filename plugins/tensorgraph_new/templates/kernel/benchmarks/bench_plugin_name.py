"""The kernel ``plugin_name`` beside the portable one: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg

SHAPES = [(64, 10), (256, 1000), (64, 21, 64, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kernel", ["plugin_name", "portable"])
def bench_logsumexp(benchmark, kernel, shape):
    x = tg.tensor(numpy.random.default_rng(0).standard_normal(shape, "float32"))
    benchmark.group = f"logsumexp {shape}"
    with tg.use(kernels={"logsumexp": kernel}):
        benchmark(lambda: tg.ops.logsumexp(x, axis=1))
