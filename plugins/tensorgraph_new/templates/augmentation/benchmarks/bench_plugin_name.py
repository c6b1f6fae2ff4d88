"""How long the augmentation ``plugin_name`` takes: ``pytest benchmarks``."""

import numpy
import pytest
import tensorgraph as tg

SHAPES = [(64, 1, 28, 28), (64, 3, 64, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def bench_batch(benchmark, shape):
    images = tg.tensor(numpy.ones(shape, "float32"))
    key = tg.tensor([1, 2, 3, 4], dtype="uint32")
    augment = tg.augmentations.plugin_name()

    def call():
        augment(images, key)
        images.backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)
