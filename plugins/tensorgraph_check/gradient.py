"""Gradients against finite differences, to any order, and what is likely wrong with a wrong one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tensorgraph import config, grad, ops, tensor
from tensorgraph.errors import GradientError
from tensorgraph.spec import is_floating
from tensorgraph.tensor import Tensor

Function = Callable[..., Tensor]


class Slope(NamedTuple):
    """The derivative of some order along a random direction: by the gradient rules, and by
    differences of that of the order before."""

    order: int
    exact: float
    numeric: float

    @property
    def error(self) -> float:
        return abs(self.exact - self.numeric) / max(1.0, abs(self.numeric))

    def __str__(self) -> str:
        return (
            f"at order {self.order} the gradient along a random direction is {self.exact:.9g} "
            f"and finite differences give {self.numeric:.9g} (relative error {self.error:.1e}"
        )


def gradcheck(
    function: Function,
    inputs: Sequence[Any],
    *,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> float:
    """What ``tensorgraph.testing.gradcheck`` says."""
    worst = 0.0
    with config.Scope(dtype=config.Choice("float64", "gradcheck")):
        for slope in slopes(function, leaves(inputs), order=order, step=step, seed=seed):
            if not slope.error <= tolerance:
                raise GradientError(f"gradcheck: {slope}, allowed {tolerance:.0e})")
            worst = max(worst, slope.error)
    return worst


def leaves(inputs: Sequence[Any]) -> list[Tensor]:
    """The floating-point ones in float64, so that no check passes because nothing had a gradient.
    Raises ``GradientError`` where there is none."""
    found = [tensor(x) for x in inputs]
    found = [tensor(x, dtype="float64") if is_floating(x.dtype) else x for x in found]
    if not any(is_floating(x.dtype) for x in found):
        raise GradientError("gradcheck: no input is floating point, so nothing is checked")
    return found


def random_like(x: Tensor, seed: int) -> Tensor:
    """Standard normal numbers beside ``x``, the same on every backend."""
    return ops.normal(x.shape, dtype=x.dtype, key=x.constant([seed, 0, 7, 7], "uint32"))


def slopes(
    function: Function,
    at: list[Tensor],
    *,
    order: int = 2,
    step: float = 1e-6,
    seed: int = 0,
    moving: Sequence[int] = (),
    constant: bool = False,
) -> Iterator[Slope]:
    """The slopes of a function at a point, from the gradient up to its derivative of ``order``.

    ``moving`` chooses the inputs that the direction moves: all of them unless it does. A function
    that nothing differentiable leads to raises ``GradientError``, or is ``constant``.
    """
    floats = [i for i, x in enumerate(at) if is_floating(x.dtype)]
    moving = [i for i in floats if i in moving] if moving else floats
    level = Level(function, at, order, step, seed, moving, constant)
    while True:
        yield Slope(order - level.order + 1, *level.slope())
        if level.order == 1:
            return
        level = dataclasses.replace(
            level, function=level.directional, order=level.order - 1, constant=True
        )


@dataclasses.dataclass
class Level:
    """A function whose first derivative is compared. The next level's is this one's gradient.

    The output is contracted with random numbers, and the inputs are moved in a random direction.
    """

    function: Function
    at: list[Tensor]
    order: int  # how many levels there are from here on
    step: float
    seed: int
    moving: Sequence[int]
    constant: bool  # whether what has no graph has the gradient 0: as gradients of linear maps do

    def __post_init__(self) -> None:
        first = self.seed + 100 * self.order
        self.directions = {i: random_like(self.at[i], first + i) for i in self.moving}

    def slope(self) -> tuple[float, float]:
        plus, minus = self.scalar(self.moved(self.step)), self.scalar(self.moved(-self.step))
        numeric = (plus.item() - minus.item()) / (2 * self.step)
        found = zip(self.moving, self.gradients(self.at))
        exact = math.fsum((g * self.directions[i]).sum().item() for i, g in found)
        return exact, numeric

    def moved(self, by: float) -> list[Tensor]:
        return [
            x + self.directions[i] * by if i in self.directions else x
            for i, x in enumerate(self.at)
        ]

    def scalar(self, xs: list[Tensor]) -> Tensor:
        out = self.function(*xs)
        return ops.sum(out * random_like(out, self.seed + 10 * self.order + 1))

    def gradients(self, xs: Sequence[Tensor]) -> list[Tensor]:
        xs = [x if x.requires_grad else x.detach() for x in xs]
        for i in self.moving:
            if not xs[i].requires_grad:
                xs[i].requires_grad = True
        out = self.scalar(xs)
        if self.constant and out.node is None:  # that it is right is checked all the same
            return [xs[i] * 0.0 for i in self.moving]
        return grad(out, [xs[i] for i in self.moving], create_graph=self.order > 1)

    def directional(self, *xs: Tensor) -> Any:
        """The gradient function, as one scalar: its gradient is the next order."""
        found = zip(self.moving, self.gradients(xs))
        return sum((g * self.directions[i]).sum() for i, g in found)
