"""How long the loss ``plugin_name`` takes: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg

SHAPES = [(64, 10), (64, 1, 64, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def bench_training(benchmark, shape):
    """Forward and backward."""
    generator = numpy.random.default_rng(0)
    x = tg.tensor(generator.standard_normal(shape, "float32"), requires_grad=True)
    y = tg.tensor(generator.standard_normal(shape, "float32"))

    def call():
        tg.grad(tg.losses.plugin_name(x, y), [x])
        x.backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)
