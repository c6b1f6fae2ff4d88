"""Checks for the authors of ops, layers and backends: public, and what our own tests run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph import config, ops
from tensorgraph.autograd import grad
from tensorgraph.creation import tensor
from tensorgraph.errors import GradientError
from tensorgraph.spec import is_floating
from tensorgraph.tensor import Tensor


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> float:
    """Compare the gradients of ``function`` with finite differences; returns the largest error.

    The floating-point arrays among ``inputs`` are made into float64 leaves, so that the check
    never passes because nothing required a gradient; the others are passed on as they are. The
    output is contracted with random numbers, and the gradient is compared along one random
    direction with a central difference; for ``order`` 2 the same is done with the gradient
    function itself. Choose inputs away from kinks. Raises ``GradientError``.
    """
    with config.Scope(dtype=config.Choice("float64", "gradcheck")):
        given = [tensor(x) for x in inputs]
        leaves = [tensor(x, dtype="float64") if is_floating(x.dtype) else x for x in given]
        if not any(is_floating(x.dtype) for x in leaves):
            raise GradientError("gradcheck: no input is floating point, so nothing is checked")
        return _check(function, leaves, order, step, tolerance, seed)


def random_like(x: Tensor, seed: int) -> Tensor:
    """Standard normal numbers beside ``x``, the same on every backend."""
    return ops.normal(x.shape, dtype=x.dtype, key=x.constant([seed, 0, 7, 7], "uint32"))


def _check(
    function: Callable[..., Tensor],
    at: list[Tensor],
    order: int,
    step: float,
    tolerance: float,
    seed: int,
    nested: bool = False,
) -> float:
    floats = [i for i, x in enumerate(at) if is_floating(x.dtype)]
    directions = {i: random_like(at[i], seed + 100 * order + i) for i in floats}

    def moved(by: float) -> list[Tensor]:
        return [x + directions[i] * by if i in directions else x for i, x in enumerate(at)]

    def scalar(xs: list[Tensor]) -> Tensor:
        out = function(*xs)
        return ops.sum(out * random_like(out, seed + 10 * order + 1))

    def gradients(xs: Sequence[Tensor]) -> list[Tensor]:
        xs = [x if x.requires_grad else x.detach() for x in xs]
        for i in floats:
            if not xs[i].requires_grad:
                xs[i].requires_grad = True
        out = scalar(xs)
        if nested and out.node is None:  # a constant gradient: that its own is 0 is checked too
            return [xs[i] * 0.0 for i in floats]
        return grad(out, [xs[i] for i in floats], create_graph=order > 1)

    exact = math.fsum((g * directions[i]).sum().item() for i, g in zip(floats, gradients(at)))
    plus, minus = scalar(moved(step)).item(), scalar(moved(-step)).item()
    numeric = (plus - minus) / (2 * step)
    error: float = abs(exact - numeric) / max(1.0, abs(numeric))
    if not error <= tolerance:
        raise GradientError(
            f"gradcheck: at order {order} the gradient along a random direction is {exact:.9g} "
            f"and finite differences give {numeric:.9g} (relative error {error:.1e}, allowed "
            f"{tolerance:.0e})"
        )
    if order == 1:
        return error

    def directional(*xs: Tensor) -> Any:
        """The gradient function, as one scalar: its gradient is the second order."""
        return sum((g * directions[i]).sum() for i, g in zip(floats, gradients(xs)))

    return max(error, _check(directional, at, order - 1, step, tolerance, seed, nested=True))
