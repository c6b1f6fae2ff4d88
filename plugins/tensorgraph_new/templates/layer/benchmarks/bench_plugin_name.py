"""How long the layer ``plugin_name`` takes: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg

SHAPES = [(64, 32, 28, 28), (256, 1000)]


@pytest.fixture(params=SHAPES, ids=str)
def x(request):
    generator = numpy.random.default_rng(0)
    return tg.tensor(generator.standard_normal(request.param, "float32"))


@pytest.fixture
def layer(x):
    layer = tg.layers.plugin_name()
    layer(x)
    return layer


def bench_forward(benchmark, layer, x):
    def call():
        layer(x)
        x.backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)


def bench_training(benchmark, layer, x):
    """Forward and backward."""

    def call():
        tg.grad(layer(x).sum(), layer.parameters())
        x.backend.synchronize()

    benchmark(call)
