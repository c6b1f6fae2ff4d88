"""How long a step of ``plugin_name`` takes: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg

SHAPES = [(120, 400), (64, 64, 3, 3), (1000, 4096)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def bench_step(benchmark, shape):
    p = tg.tensor(numpy.ones(shape, "float32"), requires_grad=True)
    p.grad = tg.tensor(numpy.ones(shape, "float32"))
    optimizer = tg.optimizers.plugin_name([p])

    def call():
        optimizer.step()
        p.backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)
