"""The optimizer Lion: every parameter moves by the sign of an average of its gradients.

X. Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023, arXiv:2302.06675.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import tensorgraph
from tensorgraph import Optimizer, Tensor, ops
from tensorgraph.errors import ConfigError
from tensorgraph.hookspecs import Register


class Lion(Optimizer):
    """The paper's algorithm 2: c = β₁ m + (1 - β₁) g; p ← p - lr (sign(c) + weight_decay · p);
    m ← β₂ m + (1 - β₂) g.

    All elements move by the same amount, so ``lr`` is to be three to ten times smaller than
    AdamW's and ``weight_decay`` as much larger (the paper's section 5).
    """

    slots = ("m",)
    worked_example: ClassVar = {  # by hand; in the second step m outweighs the first gradient
        "options": {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.1},
        "parameter": [1.0, -2.0],
        "gradients": [[0.5, -1.0], [-0.01, 0.2], [-1.0, 0.0]],
        "expected": [[0.89, -1.88], [0.7811, -1.9612], [0.873289, -1.841588]],
    }

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(parameters, lr=lr, clip_norm=clip_norm, clip_value=clip_value)
        if not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(f"Lion: betas={betas} are not two numbers from 0 up to, but not, 1")
        if not weight_decay >= 0:
            raise ConfigError(f"Lion: weight_decay={weight_decay} is not a number from 0 on")
        self.betas = betas
        self.weight_decay = weight_decay

    def update(
        self, p: Tensor, g: Tensor, memory: Mapping[str, Tensor], scalars: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        (a, b), m = self.betas, memory["m"]
        move = ops.sign(m * a + g * (1 - a))
        if self.weight_decay:
            move = move + p * self.weight_decay
        return p - scalars["lr"] * move, {"m": m * b + g * (1 - b)}


@tensorgraph.hookimpl
def register_optimizers(register: Register) -> None:
    register("lion", Lion)
