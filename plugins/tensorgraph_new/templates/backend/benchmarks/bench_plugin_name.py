"""The backend ``plugin_name`` beside NumPy's: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg


@pytest.mark.parametrize("size", [64, 512])
@pytest.mark.parametrize("name", ["plugin_name", "numpy"])
def bench_matmul(benchmark, name, size):
    x = tg.tensor(numpy.ones((size, size), "float32"), backend=name)
    benchmark.group = f"matmul of {size}x{size}"

    def call():
        x @ x
        x.backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)


@pytest.mark.parametrize("name", ["plugin_name", "numpy"])
def bench_lenet5(benchmark, name):
    """A batch of 64 forward."""
    benchmark.group = "LeNet-5"
    with tg.use(backend=name):
        model, x = tg.models.lenet5(), tg.tensor(numpy.ones((64, 1, 28, 28), "float32"))

        def call():
            model(x)
            x.backend.synchronize()

        benchmark(call)
