"""First values of parameters: factories of ``f(spec)``, which returns a tensor on the backend in
force.

The fans of a weight are PyTorch's: of shape (out, in, …) fan_in is in times the filter's size and
fan_out is out times that. Layers without an initializer of their own use PyTorch's defaults:
weights of linear and convolution layers are ``he_uniform(a=sqrt(5))``, which is uniform within
±1/sqrt(fan_in), and so are their biases; embeddings are standard normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tensorgraph import Spec, Tensor, ops
from tensorgraph.errors import ConfigError

Initializer = Callable[[Spec], Tensor]

POLAR_STEPS = 64  # singular values grow by 1.5 a step, so 1e-9 of the largest reach 1


def constant(value: float) -> Initializer:
    """Every element is ``value``."""

    def initializer(spec: Spec) -> Tensor:
        one = ops.literal(values=value, dtype=spec.dtype)
        return ops.broadcast_to(one, shape=spec.shape) + 0  # memory of its own

    return initializer


def zeros() -> Initializer:
    """Every element is 0."""
    return constant(0)


def ones() -> Initializer:
    """Every element is 1."""
    return constant(1)


def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """Uniform from ``low`` up to ``high``."""
    return lambda spec: ops.uniform(spec.shape, low=low, high=high, dtype=spec.dtype)


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Normally distributed."""
    return lambda spec: ops.normal(spec.shape, mean=mean, std=std, dtype=spec.dtype)


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Uniform of variance gain² · 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    return _scaled(lambda spec: gain * math.sqrt(2 / sum(fans(spec))), _uniform_of_std)


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Normal of variance gain² · 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    return _scaled(lambda spec: gain * math.sqrt(2 / sum(fans(spec))), _normal_of_std)


def he_uniform(a: float = 0.0, mode: str = "fan_in") -> Initializer:
    """Uniform of variance 2 / (1 + a²) / fan, for leaky ReLU of slope ``a`` (He et al., 2015).

    ``mode`` is "fan_in", which keeps the variance of the forward pass, or "fan_out", which keeps
    that of the gradients.
    """
    return _scaled(_he_std("he_uniform", a, mode), _uniform_of_std)


def he_normal(a: float = 0.0, mode: str = "fan_in") -> Initializer:
    """Normal of variance 2 / (1 + a²) / fan: see ``he_uniform``."""
    return _scaled(_he_std("he_normal", a, mode), _normal_of_std)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Orthogonal rows or columns, whichever are fewer, of norm ``gain``; further axes are taken
    together with the second (Saxe et al., 2014).

    The orthogonal factor of the polar decomposition of a matrix of normal numbers, by
    Newton and Schulz's iteration: like the factor of a QR decomposition with positive diagonal it
    is distributed evenly over the orthogonal matrices, and it is made of matrix products alone.
    """

    def initializer(spec: Spec) -> Tensor:
        _check_axes(spec)
        rows, columns = spec.shape[0], math.prod(spec.shape[1:])
        tall = (max(rows, columns), min(rows, columns))
        x = ops.normal(tall, std=1 / (math.sqrt(rows) + math.sqrt(columns)), dtype="float64")
        for _ in range(POLAR_STEPS):
            x = x * 1.5 - ops.matmul(x, ops.matmul(x.T, x)) * 0.5
        x = x if rows >= columns else x.T
        return ops.cast(ops.reshape(x, shape=spec.shape) * gain, dtype=spec.dtype)

    return initializer


def fans(spec: Spec) -> tuple[int, int]:
    """How many inputs an output is made from, and how many outputs an input goes to."""
    _check_axes(spec)
    size = math.prod(spec.shape[2:])
    return spec.shape[1] * size, spec.shape[0] * size


def _check_axes(spec: Spec) -> None:
    if spec.ndim < 2:
        raise ConfigError(
            f"this initializer is for weights of two or more axes, not {spec}; take zeros, "
            "constant, uniform or normal"
        )


def _he_std(name: str, a: float, mode: str) -> Callable[[Spec], float]:
    if mode not in ("fan_in", "fan_out"):
        raise ConfigError(f"{name}: mode={mode!r} is neither 'fan_in' nor 'fan_out'")
    return lambda spec: math.sqrt(2 / (1 + a * a) / max(1, fans(spec)[mode == "fan_out"]))


def _scaled(std: Callable[[Spec], float], draw: Callable[[Spec, float], Tensor]) -> Initializer:
    return lambda spec: draw(spec, std(spec))


def _uniform_of_std(spec: Spec, std: float) -> Tensor:
    bound = math.sqrt(3) * std
    return uniform(-bound, bound)(spec)


def _normal_of_std(spec: Spec, std: float) -> Tensor:
    return normal(0.0, std)(spec)
