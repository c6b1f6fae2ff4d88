"""An optimizer at work on a convex function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorgraph as tg
from tensorgraph import Tensor, ops
from tensorgraph_check import guess
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Step, Subject


class OptimizerSubject(Subject):
    """An optimizer at work: each step goes towards ``target`` on a convex function."""

    kind = "optimizer"
    separate = True

    def candidates(self) -> Iterable[Sample]:
        return guess.optimizer(self.thing)

    def optimizer(self, sample: Sample, parameters: list[Tensor]) -> tg.Optimizer:
        made: tg.Optimizer = self.thing(parameters, *sample.arguments, **sample.options)
        return made

    def step(self, sample: Sample, dtype: str, make: Any = None) -> Step:
        """The parameters start from the inputs; ``run`` is given the inputs too, from which it
        takes its targets."""
        self._working = sample, dtype
        parameters: list[Tensor] = []
        optimizers: list[tg.Optimizer] = []

        def begin(*xs: Tensor) -> None:
            for x in xs:
                parameters.append(x.detach())
                parameters[-1].requires_grad = True
            optimizers.append((make or self.optimizer)(sample, parameters))

        def run(*xs: Tensor) -> list[Tensor]:
            if not parameters:
                begin(*xs)
            loss = convex(parameters, [x.detach() * 0.5 - 1.0 for x in xs])
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
            return [loss]

        def state() -> dict[str, Tensor]:
            slots = optimizers[0].state()
            kept = {k: x for k, x in slots.items() if isinstance(x, Tensor)}
            return {**kept, **{f"parameter {i}": x for i, x in enumerate(parameters)}}

        return Step(run, state, begin=begin)

    def use(self, sample: Sample) -> str:
        parameters = ", ".join(f"x{i}" for i in range(len(sample.inputs)))
        made = sample.call(self.expression()).replace("(", f"([{parameters}], ", 1)
        return (
            f"for x in [{parameters}]:\n    x.requires_grad = True\noptimizer = {made}\n"
            f"sum(tg.ops.sum(x * x) for x in [{parameters}]).backward()\noptimizer.step()"
        )


def convex(parameters: list[Tensor], targets: list[Tensor]) -> Tensor:
    """Half the squared distance to the targets, each parameter's weighted by 1, 2, 3, …."""
    terms = [
        ops.sum((p - t) * (p - t)) * (0.5 * (i + 1))
        for i, (p, t) in enumerate(zip(parameters, targets))
    ]
    return sum(terms[1:], terms[0])
