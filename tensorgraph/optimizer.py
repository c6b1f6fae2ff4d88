"""Optimizer: what the optimizers of plugins are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tensorgraph import config
from tensorgraph.creation import tensor
from tensorgraph.errors import ConfigError
from tensorgraph.layer import Parameter
from tensorgraph.tensor import Tensor


class Optimizer:
    """Moves parameters against their gradients. Subclasses define ``update``, written in ops.

    ``lr`` may be changed between steps; ``slots`` names the tensors kept for each parameter
    (momentum, …), which start at zero.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Parameter], *, lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ConfigError(f"{type(self).__name__}: there are no parameters to train")
        if not lr >= 0:
            raise ConfigError(f"{type(self).__name__}: lr={lr} is negative")
        self.lr = lr
        self.steps = 0
        self.memory: list[dict[str, Tensor]] = [{} for _ in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        self.steps += 1
        with config.no_grad():
            for p, memory in zip(self.parameters, self.memory, strict=True):
                if p.grad is None or not p.requires_grad:
                    continue
                for slot in self.slots:
                    if slot not in memory:
                        memory[slot] = (p.grad * 0.0).detach()
                value, new = self.update(p.detach(), p.grad, dict(memory))
                for slot in self.slots:
                    memory[slot].assign(new[slot])
                p.assign(value)

    def update(
        self, p: Tensor, g: Tensor, memory: dict[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The parameter's next value and its slots', from its gradient; ``self.steps`` is the
        number of this step, from 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: ``steps`` and, by ``<index>.<slot>``, the tensors."""
        return {
            "steps": self.steps,
            **{f"{i}.{k}": v for i, memory in enumerate(self.memory) for k, v in memory.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        self.steps = int(state.pop("steps"))
        self.memory = [{} for _ in self.parameters]
        for name, value in state.items():
            index, slot = name.split(".")
            self.memory[int(index)][slot] = tensor(value)
