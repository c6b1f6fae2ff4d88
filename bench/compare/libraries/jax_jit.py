"""JAX: the whole training step, with its update, as one jitted function."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench.compare.libraries.functional import EPS, forward, moved, running
from bench.compare.program import Program, Request, placed


def check(option: str) -> None:
    """JAX on a CPU has one variant."""


class Ops:
    """The stages, of these weights and running statistics; ``seen`` are the next statistics."""

    def __init__(self, request: Request, weights: Any, statistics: Any, key: Any) -> None:
        self.request, self.weights, self.statistics, self.key = request, weights, statistics, key
        self.seen = dict(statistics)

    def conv(self, x: Any, stage: Any) -> Any:
        padding = [(stage.padding, stage.padding)] * 2
        names = ("NCHW", "OIHW", "NCHW")
        stride = (stage.stride, stage.stride)
        w = self.weights[f"{stage.name}.weight"]
        out = lax.conv_general_dilated(
            x, w, stride, padding, dimension_numbers=names, feature_group_count=stage.groups
        )
        return out + self.weights[f"{stage.name}.bias"][:, None, None] if stage.bias else out

    def linear(self, x: Any, stage: Any) -> Any:
        return x @ self.weights[f"{stage.name}.weight"].T + self.weights[f"{stage.name}.bias"]

    def norm(self, x: Any, stage: Any) -> Any:
        mean, var = self.statistics[stage.name]
        if self.request.train:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            count = x.size // x.shape[1]
            self.seen[stage.name] = moved(self.statistics[stage.name], mean, var, count)
        scale = self.weights[f"{stage.name}.weight"] * lax.rsqrt(var + EPS)
        shift = self.weights[f"{stage.name}.bias"] - mean * scale
        return x * scale[:, None, None] + shift[:, None, None]

    def pool(self, x: Any, stage: Any) -> Any:
        window, stride = (1, 1, stage.kernel, stage.kernel), (1, 1, stage.stride, stage.stride)
        around = (stage.padding, stage.padding)
        padding = ((0, 0), (0, 0), around, around)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, stride, padding)

    def dropout(self, x: Any, stage: Any) -> Any:
        rate = self.request.rate(stage.p)
        if not self.request.train or not rate:
            return x
        self.key, drawn = jax.random.split(self.key)
        return jnp.where(jax.random.bernoulli(drawn, 1 - rate, x.shape), x / (1 - rate), 0)

    def relu(self, x: Any, stage: Any) -> Any:
        return jax.nn.relu(x)

    def sigmoid(self, x: Any, stage: Any) -> Any:
        return jax.nn.sigmoid(x)

    def flatten(self, x: Any, stage: Any) -> Any:
        return x.reshape(len(x), -1)

    def mean(self, x: Any, stage: Any) -> Any:
        return x.mean((2, 3))


def loss_of(request: Request, out: Any, y: Any) -> Any:
    if request.workload.loss == "mse":
        return jnp.mean((out - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1))


def updated(request: Request, weights: Any, gradients: Any, memory: Any, steps: Any) -> Any:
    """The next weights and the optimizer's next memory, with PyTorch's formulas."""
    workload, tree = request.workload, jax.tree_util.tree_map
    lr = workload.lr
    if workload.optimizer == "sgd":
        v = tree(lambda m, g: workload.momentum * m + g, memory[0], gradients)
        return tree(lambda p, v: p - lr * v, weights, v), (v, memory[1])
    m = tree(lambda m, g: m + 0.1 * (g - m), memory[0], gradients)
    v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, memory[1], gradients)
    size, root = lr / (1 - 0.9**steps), jnp.sqrt(1 - 0.999**steps)
    return tree(lambda p, m, v: p - size * m / (jnp.sqrt(v) / root + 1e-8), weights, m, v), (m, v)


def prepare(request: Request) -> Program:
    network = request.workload.network
    weights = {name: jnp.asarray(value) for name, value in request.weights.items()}
    statistics = {k: tuple(map(jnp.asarray, v)) for k, v in running(network).items()}

    def place(x: Any, y: Any) -> tuple[Any, ...]:
        return (jnp.asarray(x), jnp.asarray(y)) if request.train else (jnp.asarray(x),)

    if not request.train:
        apply = jax.jit(lambda w, s, x: forward(network, x, Ops(request, w, s, None)))
        return Program(place, lambda x: apply(weights, statistics, x), np.asarray, placed(place))
    return Program(place, train_step(request, weights, statistics), float, placed(place))


def train_step(request: Request, weights: Any, statistics: Any) -> Any:
    def total(weights: Any, statistics: Any, key: Any, x: Any, y: Any) -> Any:
        ops = Ops(request, weights, statistics, key)
        return loss_of(request, forward(request.workload.network, x, ops), y), (ops.seen, ops.key)

    @partial(jax.jit, donate_argnums=(0,))
    def update(state: Any, x: Any, y: Any) -> Any:
        weights, statistics, memory, steps, key = state
        gradient = jax.value_and_grad(total, has_aux=True)
        (loss, (statistics, key)), gradients = gradient(weights, statistics, key, x, y)
        weights, memory = updated(request, weights, gradients, memory, steps + 1)
        return (weights, statistics, memory, steps + 1, key), loss

    zeros = [jax.tree_util.tree_map(jnp.zeros_like, weights) for _ in range(2)]
    state = (weights, statistics, tuple(zeros), jnp.zeros(()), jax.random.key(0))

    def step(x: Any, y: Any) -> Any:
        nonlocal state
        state, loss = update(state, x, y)
        return loss

    return step
