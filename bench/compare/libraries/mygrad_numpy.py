"""MyGrad: its layers for NumPy, without its guards against changed memory, updates in NumPy."""

from __future__ import annotations

from typing import Any

import mygrad
import numpy as np
from mygrad.nnet.activations import relu, sigmoid
from mygrad.nnet.layers import batchnorm, conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from bench.compare.libraries.functional import EPS, Updates, forward, moved, running
from bench.compare.program import Program, Request, Unavailable, placed

mg: Any = mygrad  # what it exports, it does not declare to type checkers


def check(option: str) -> None:
    """MyGrad has one variant."""


class Ops:
    """The stages, of these weights; batch norm's running statistics are kept from step to step."""

    def __init__(self, request: Request, weights: Any, statistics: Any) -> None:
        self.request, self.weights, self.statistics = request, weights, statistics
        self.rng = np.random.default_rng(0)

    def conv(self, x: Any, stage: Any) -> Any:
        if stage.groups > 1:
            raise Unavailable("MyGrad's convolution has no groups")
        if any((size + 2 * stage.padding - stage.kernel) % stage.stride for size in x.shape[2:]):
            raise Unavailable("MyGrad's convolution takes only windows that fill the image")
        w = self.weights[f"{stage.name}.weight"]
        out = conv_nd(x, w, stride=stage.stride, padding=stage.padding)
        if not stage.bias:
            return out
        return out + self.weights[f"{stage.name}.bias"].reshape(-1, 1, 1)

    def linear(self, x: Any, stage: Any) -> Any:
        w = self.weights[f"{stage.name}.weight"]
        return mg.matmul(x, w.T) + self.weights[f"{stage.name}.bias"]

    def norm(self, x: Any, stage: Any) -> Any:
        gamma, beta = self.weights[f"{stage.name}.weight"], self.weights[f"{stage.name}.bias"]
        before = self.statistics[stage.name]
        if self.request.train:
            out = batchnorm(x, gamma=gamma, beta=beta, eps=EPS)
            count = x.size // x.shape[1]
            made: Any = out.creator  # adds beta, or is the normalisation itself
            while not hasattr(made, "mean"):
                made = made.variables[0].creator
            self.statistics[stage.name] = moved(before, made.mean, made.var, count)
            return out
        scale = gamma.data / np.sqrt(before[1] + np.float32(EPS))
        shift = beta.data - before[0] * scale
        return x * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1)

    def pool(self, x: Any, stage: Any) -> Any:
        if stage.padding:
            raise Unavailable("MyGrad's max_pool has no padding")
        k, stride = stage.kernel, stage.stride
        h, w = (k + (size - k) // stride * stride for size in x.shape[2:])
        return max_pool(x[:, :, :h, :w], (k, k), stride)

    def dropout(self, x: Any, stage: Any) -> Any:
        rate = self.request.rate(stage.p)
        if not self.request.train or not rate:
            return x
        kept = self.rng.random(x.shape, np.float32) >= rate
        return x * (kept / np.float32(1 - rate))

    def relu(self, x: Any, stage: Any) -> Any:
        return relu(x)

    def sigmoid(self, x: Any, stage: Any) -> Any:
        return sigmoid(x)

    def flatten(self, x: Any, stage: Any) -> Any:
        return x.reshape(x.shape[0], -1)

    def mean(self, x: Any, stage: Any) -> Any:
        return mg.mean(x, axis=(2, 3))


def prepare(request: Request) -> Program:
    mg.turn_memory_guarding_off()
    network, train = request.workload.network, request.train
    weights = {name: mg.tensor(value, constant=False) for name, value in request.weights.items()}
    ops = Ops(request, weights, running(network))

    def place(x: Any, y: Any) -> tuple[Any, ...]:
        return (mg.tensor(x, constant=True), y) if train else (mg.tensor(x, constant=True),)

    def infer(x: Any) -> Any:
        with mg.no_autodiff:
            return forward(network, x, ops)

    if not train:
        return Program(place, infer, lambda out: out.data, placed(place))
    update = Updates(request.workload, {name: p.data for name, p in weights.items()})

    def step(x: Any, y: Any) -> Any:
        out = forward(network, x, ops)
        if request.workload.loss == "mse":
            loss = mg.mean((out - y) ** 2)
        else:
            loss = softmax_crossentropy(out, y)
        loss.backward()
        update({name: p.grad for name, p in weights.items()})
        for p in weights.values():
            p.null_grad()
        return loss

    return Program(place, step, lambda loss: loss.item(), placed(place))
