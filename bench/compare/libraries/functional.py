"""What the libraries without layers share: walking through a network, and updates in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.compare.workloads import Network, Norm, Residual, Workload, layers

MOMENTUM, EPS = 0.1, 1e-5  # of batch norm


def forward(network: Network, x: Any, ops: Any) -> Any:
    """Run ``x`` through a network; ``ops`` has a method for each kind of stage, in lower case."""
    for stage in network:
        if isinstance(stage, Residual):
            short = forward(stage.shortcut, x, ops) if stage.shortcut else x
            x = ops.relu(forward(stage.body, x, ops) + short, stage)
        else:
            x = getattr(ops, type(stage).__name__.lower())(x, stage)
    return x


def running(network: Network) -> dict[str, tuple[Any, Any]]:
    """The running mean and variance that each batch norm starts from."""
    return {
        stage.name: (np.zeros(stage.channels, np.float32), np.ones(stage.channels, np.float32))
        for stage in layers(network)
        if isinstance(stage, Norm)
    }


def moved(before: tuple[Any, Any], mean: Any, var: Any, count: int) -> tuple[Any, Any]:
    """Running statistics after a batch of ``count`` values a channel, of (biased) variance."""
    unbiased = var * (count / max(1, count - 1))
    start, spread = before
    return start + MOMENTUM * (mean - start), spread + MOMENTUM * (unbiased - spread)


class Updates:
    """SGD with momentum, or Adam, in NumPy and in place, with PyTorch's formulas."""

    def __init__(self, workload: Workload, arrays: dict[str, Any]) -> None:
        self.workload = workload
        self.arrays = arrays
        self.first = {name: np.zeros_like(x) for name, x in arrays.items()}
        self.second = {name: np.zeros_like(x) for name, x in arrays.items()}
        self.steps = 0

    def __call__(self, gradients: dict[str, Any]) -> None:
        self.steps += 1
        for name, p in self.arrays.items():
            if self.workload.optimizer == "adam":
                self._adam(name, p, gradients[name])
            elif self.workload.momentum:
                v = self.first[name]
                v *= self.workload.momentum
                v += gradients[name]
                p -= self.workload.lr * v
            else:
                p -= self.workload.lr * gradients[name]

    def _adam(self, name: str, p: Any, g: Any) -> None:
        m, v = self.first[name], self.second[name]
        m += (g - m) * np.float32(0.1)
        v *= np.float32(0.999)
        v += g * g * np.float32(0.001)
        scale = np.sqrt(v)
        scale /= math.sqrt(1 - 0.999**self.steps)
        scale += 1e-8
        np.divide(m, scale, out=scale)
        scale *= self.workload.lr / (1 - 0.9**self.steps)
        p -= scale
