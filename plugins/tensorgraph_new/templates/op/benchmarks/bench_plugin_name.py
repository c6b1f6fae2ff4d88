"""How long the op ``plugin_name`` takes: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg

SHAPES = [(64, 32, 28, 28), (256, 1000)]


@pytest.fixture(params=SHAPES, ids=str)
def xs(request):
    generator = numpy.random.default_rng(0)
    return [tg.tensor(generator.standard_normal(request.param, "float32")) for _ in range(2)]


def bench_forward(benchmark, xs):
    def call():
        tg.ops.plugin_name(*xs)
        xs[0].backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)


def bench_training(benchmark, xs):
    """Forward and backward."""
    for x in xs:
        x.requires_grad = True

    def call():
        tg.grad(tg.ops.plugin_name(*xs).sum(), xs)
        xs[0].backend.synchronize()

    benchmark(call)
