"""How long the activation ``plugin_name`` takes: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg

SHAPES = [(64, 32, 28, 28), (256, 1000)]


@pytest.fixture(params=SHAPES, ids=str)
def x(request):
    generator = numpy.random.default_rng(0)
    return tg.tensor(generator.standard_normal(request.param, "float32"))


def bench_forward(benchmark, x):
    def call():
        tg.activations.plugin_name(x)
        x.backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)


def bench_training(benchmark, x):
    """Forward and backward."""
    x.requires_grad = True

    def call():
        tg.grad(tg.activations.plugin_name(x).sum(), [x])
        x.backend.synchronize()

    benchmark(call)
