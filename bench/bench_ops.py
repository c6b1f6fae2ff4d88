"""A benchmark for every op on every available backend, and for the gradients worth timing.

pytest bench/bench_ops.py --benchmark-enable --benchmark-only --benchmark-group-by=group
"""

from __future__ import annotations

import pytest
from samples import SAMPLES

import tensorgraph as tg
from tensorgraph.errors import BackendError

GRADIENTS = ("batch_norm", "conv", "cross_entropy", "gelu", "layer_norm", "matmul", "max_pool")


@pytest.fixture(params=["numpy", "cupy"])
def backend(request):
    """Each backend that is available here."""
    try:
        with tg.use(backend=request.param):
            yield tg.config.get_backend(request.param)
    except BackendError as error:
        pytest.skip(str(error))


def tensors(sample):
    return [tg.tensor(x) for x in sample.arrays()]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def bench_op(benchmark, backend, sample):
    xs = tensors(sample)
    benchmark.group = str(sample)

    def call():
        sample.call(*xs)
        backend.synchronize()

    benchmark(call)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.op in GRADIENTS], ids=str)
def bench_gradient(benchmark, backend, sample):
    """Forward and backward."""
    xs = tensors(sample)
    for x in xs:
        x.requires_grad = x.dtype == "float32"
    benchmark.group = f"gradient of {sample}"

    def call():
        out = sample.call(*xs)
        out = out[0] if isinstance(out, tuple) else out
        tg.grad(tg.ops.sum(out), [x for x in xs if x.requires_grad])
        backend.synchronize()

    benchmark(call)
