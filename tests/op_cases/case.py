"""One case of an op: inputs, parameters and what an independent source says of the result."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
    """``ops.<op>(*inputs, **params)`` equals ``oracle(*inputs)``.

    inputs   NumPy arrays; floating-point ones are float64 here and are run in float32 too
    oracle   NumPy, SciPy or plain loops: never tensorgraph; its result's shape counts
    torch    the same with torch tensors, compared where PyTorch is installed, gradients included
    order    to which order the gradient is checked; 0 for ops without one
    kink     whether differences cannot check the gradient here: only PyTorch's is compared
    call     how to call the op where ``ops.<op>(*inputs, **params)`` is not it
    """

    op: str
    inputs: tuple[Any, ...]
    oracle: Callable[..., Any]
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    torch: Callable[..., Any] | None = None
    order: int = 2
    kink: bool = False
    label: str = ""
    call: Callable[..., Any] | None = None
    tolerance: float = 1e-5  # in float32; float64 must agree to 1e-10

    def __str__(self) -> str:
        shapes = "x".join(str(list(np.shape(x))).replace(" ", "") for x in self.inputs)
        given = ",".join(f"{k}={v}" for k, v in self.params.items())
        return "-".join(part for part in (self.op, self.label, shapes, given) if part)


def draw(
    *shape: int, low: float = -2.0, high: float = 2.0, away: float = 0.0, seed: str = ""
) -> Any:
    """Uniform float64 numbers, the same each time; none closer to 0 than ``away``."""
    digest = hashlib.sha256(f"{shape}{low}{high}{seed}".encode()).digest()
    x = np.random.default_rng(int.from_bytes(digest[:8], "little")).uniform(low, high, shape)
    return np.where(np.abs(x) < away, np.copysign(away, x) + x, x)


def distinct(*shape: int, seed: str = "") -> Any:
    """float64 numbers no two of which are closer than 0.1: for max, sort and other kinks."""
    n = int(np.prod(shape))
    order = np.argsort(draw(n, seed=f"distinct{seed}"))
    return (order.reshape(shape) - n / 2) * 0.1 + 0.03
