"""HIPS autograd: NumPy traced, convolutions as shifted slices and one product, updates in NumPy.

Its own ``convolve`` was up to 40 times slower: it is an ``einsum`` without BLAS.
"""

from __future__ import annotations

from typing import Any

import autograd  # type: ignore[import-untyped]
import autograd.numpy as anp  # type: ignore[import-untyped]
import numpy as np
from autograd.tracer import getval  # type: ignore[import-untyped]

from bench.compare.libraries.functional import EPS, Updates, forward, moved, running
from bench.compare.program import Program, Request, Unavailable, placed


def check(option: str) -> None:
    """HIPS autograd has one variant."""


def slices(x: Any, stage: Any, fill: float) -> tuple[list[Any], tuple[int, ...]]:
    """For each place in the window of a convolution or pooling, what all windows have there; and
    the shape of each of these."""
    k, stride, padding = stage.kernel, stage.stride, stage.padding
    if padding:
        around = (padding, padding)
        x = anp.pad(x, ((0, 0), (0, 0), around, around), "constant", constant_values=fill)
    height, width = ((size - k) // stride + 1 for size in x.shape[2:])
    found = [
        x[
            :,
            :,
            i : i + stride * (height - 1) + 1 : stride,
            j : j + stride * (width - 1) + 1 : stride,
        ]
        for i in range(k)
        for j in range(k)
    ]
    return found, found[0].shape


class Ops:
    """The stages, of these weights; batch norm's running statistics are kept from step to step."""

    def __init__(self, request: Request, statistics: Any) -> None:
        self.request, self.statistics = request, statistics
        self.weights: Any = request.weights
        self.rng = np.random.default_rng(0)

    def conv(self, x: Any, stage: Any) -> Any:
        if stage.groups > 1:
            raise Unavailable("autograd has no convolution with groups")
        w = self.weights[f"{stage.name}.weight"]
        shifted, (n, _, height, width) = slices(x, stage, 0.0)
        columns = anp.concatenate(shifted, axis=1).reshape((n, -1, height * width))
        rows = anp.transpose(w, (0, 2, 3, 1)).reshape((len(w), -1))
        out = (rows @ columns).reshape((n, len(w), height, width))
        return out + self.weights[f"{stage.name}.bias"][:, None, None] if stage.bias else out

    def linear(self, x: Any, stage: Any) -> Any:
        return x @ self.weights[f"{stage.name}.weight"].T + self.weights[f"{stage.name}.bias"]

    def norm(self, x: Any, stage: Any) -> Any:
        shape, (mean, var) = (-1, 1, 1), self.statistics[stage.name]
        if self.request.train:
            mean = anp.mean(x, axis=(0, 2, 3))
            x = x - mean.reshape(shape)
            var = anp.mean(x * x, axis=(0, 2, 3))
            count = x.size // x.shape[1]
            before = self.statistics[stage.name]
            self.statistics[stage.name] = moved(before, getval(mean), getval(var), count)
        else:
            x = x - mean.reshape(shape)
        scale = self.weights[f"{stage.name}.weight"] / anp.sqrt(var + EPS)
        return x * scale.reshape(shape) + self.weights[f"{stage.name}.bias"].reshape(shape)

    def pool(self, x: Any, stage: Any) -> Any:
        k = stage.kernel
        if stage.stride != k or stage.padding:
            return anp.max(anp.stack(slices(x, stage, -np.inf)[0]), axis=0)
        n, c, h, w = x.shape
        x = x[:, :, : h // k * k, : w // k * k].reshape((n, c, h // k, k, w // k, k))
        return anp.max(anp.max(x, axis=3), axis=4)

    def dropout(self, x: Any, stage: Any) -> Any:
        rate = self.request.rate(stage.p)
        if not self.request.train or not rate:
            return x
        kept = self.rng.random(x.shape, np.float32) >= rate
        return x * (kept / np.float32(1 - rate))

    def relu(self, x: Any, stage: Any) -> Any:
        return anp.maximum(x, 0)

    def sigmoid(self, x: Any, stage: Any) -> Any:
        return 1 / (1 + anp.exp(-x))

    def flatten(self, x: Any, stage: Any) -> Any:
        return x.reshape((x.shape[0], -1))

    def mean(self, x: Any, stage: Any) -> Any:
        return anp.mean(x, axis=(2, 3))


def loss_of(request: Request, out: Any, y: Any) -> Any:
    if request.workload.loss == "mse":
        return anp.mean((out - y) ** 2)
    out = out - getval(out).max(axis=1, keepdims=True)
    picked = anp.sum(out * (y[:, None] == np.arange(out.shape[1])), axis=1)
    return anp.mean(anp.log(anp.sum(anp.exp(out), axis=1)) - picked)


def prepare(request: Request) -> Program:
    network = request.workload.network
    ops = Ops(request, running(network))
    weights = {name: value.copy() for name, value in request.weights.items()}

    def place(x: Any, y: Any) -> tuple[Any, ...]:
        return (x, y) if request.train else (x,)

    if not request.train:
        return Program(place, lambda x: forward(network, x, ops), np.asarray, placed(place))

    def total(weights: Any, x: Any, y: Any) -> Any:
        ops.weights = weights
        return loss_of(request, forward(network, x, ops), y)

    gradient, update = autograd.value_and_grad(total), Updates(request.workload, weights)

    def step(x: Any, y: Any) -> Any:
        loss, gradients = gradient(weights, x, y)
        update(gradients)
        return loss

    return Program(place, step, float, placed(place))
