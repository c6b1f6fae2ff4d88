"""Nets drawn at random, compiled for the emulated device, beside eager NumPy: layers of one and of
many units and channels, with and without biases, batch norm and pools, batches of one."""

import cuda_training
import numpy as np
import pytest
from cuda_training import SGD, Training
from emulated_device import available
from tensorgraph_cupy.plan import stems
from test_cuda_plan import check_memory, emulated  # noqa: F401

import tensorgraph as tg

pytestmark = [
    pytest.mark.slow,  # g++ compiles some hundred chains, once
    pytest.mark.skipif(not available(), reason="g++ is not installed"),
]
LIMITS = {"default": (3e-5, 1e-4), "bfloat16": (4e-2, 5e-2)}  # of losses; of weights, by norms


def linear(draw):
    layers, after = tg.layers, tg.activations
    made = [layers.linear(draw(1, 2, 3, 8, 130), bias=draw(False, True, True))]
    return made + draw([], [after.relu], [after.relu], [after.tanh], [after.relu, layers.dropout()])


def convolution(draw):
    layers, relu, size = tg.layers, tg.activations.relu, draw(1, 3)
    filters, bias, stride = draw(1, 2, 8, 9), draw(False, True, True), draw(1, 1, 2)
    made = [layers.conv2d(filters, size, padding=size // 2, bias=bias, stride=stride)]
    norm, pool = layers.batch_norm2d(), layers.max_pool2d(2, stride=1)
    return made + draw([], [relu], [norm], [norm, relu], [relu, pool])


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("number", range(24))
def test_a_net(emulated, monkeypatch, number, precision):  # noqa: F811
    monkeypatch.setattr(stems, "LARGE", [1, 1 << 20][number // 2 % 2])

    def make(classes):
        chosen = np.random.default_rng(number)

        def draw(*choices):
            return choices[chosen.integers(len(choices))]

        monkeypatch.setattr(cuda_training, "BATCH", draw(1, 2, 5))
        depth, layers = draw(1, 2, 3), tg.layers
        if number % 2:
            body = [layer for _ in range(depth) for layer in linear(draw)]
            return layers.sequential(layers.flatten(), *body, layers.linear(classes))
        body = [layer for _ in range(depth) for layer in convolution(draw)]
        end = layers.flatten(), layers.linear(5), tg.activations.relu, layers.linear(classes)
        return layers.sequential(*body, *end)

    make(10)  # the size of the batch
    shape = (np.random.default_rng(number).choice([1, 2, 3, 8]), *[[4, 6][number // 4 % 2]] * 2)
    workload = (make, shape, *SGD)
    with tg.use(backend="numpy"):
        eager = Training(*workload, compiled=False)
        losses = eager.run(3)
    with tg.use(backend="cupy", precision=precision):
        ours = Training(*workload, compiled=True)
        found = ours.run(3)
    check_memory(ours.step.plan.runner)
    of_losses, of_weights = LIMITS[precision]
    np.testing.assert_allclose(found, losses, rtol=of_losses, atol=of_losses)
    for name, want in eager.weights().items():
        far = np.linalg.norm(ours.weights()[name] - want)
        assert far <= of_weights * max(np.linalg.norm(want), 0.1), name
