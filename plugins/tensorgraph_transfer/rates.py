"""A learning rate of its own for each parameter, for any optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import tensorgraph as tg

FACTOR = "factor"


class Discriminative(tg.Optimizer):
    """Scales what the optimizer behind it in the order of classes would change.

    Every optimizer moves in proportion to ``lr``, so that a factor on the move is one on ``lr``;
    weight decay beside the step is scaled with it, as in PyTorch's parameter groups.
    """

    factors: Sequence[float] = ()

    def advance(self, moving: Sequence[int]) -> dict[int, dict[str, Any]]:
        numbers = super().advance(moving)
        return {i: {**numbers[i], FACTOR: self.factors[i]} for i in moving}

    def update(
        self, p: tg.Tensor, g: tg.Tensor, memory: dict[str, tg.Tensor], scalars: Mapping[str, Any]
    ) -> tuple[tg.Tensor, Mapping[str, tg.Tensor]]:
        value, new = super().update(p, g, memory, scalars)
        factor = scalars[FACTOR]
        return (value if factor == 1 else p + (value - p) * factor), new


def discriminative(kind: type[tg.Optimizer], factors: Sequence[float]) -> type[tg.Optimizer]:
    """The optimizer's class with a factor for each of its parameters."""
    if all(factor == 1 for factor in factors):
        return kind
    made: Any = type(kind.__name__, (Discriminative, kind), {"factors": tuple(factors)})
    return cast(type[tg.Optimizer], made)
