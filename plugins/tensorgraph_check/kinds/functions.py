"""Functions of tensors: activations, losses, ops and the penalties that regularizers make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tensorgraph import Tensor
from tensorgraph_check import guess
from tensorgraph_check.calls import calls
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Subject

Function = Callable[..., Tensor]


class ActivationSubject(Subject):
    """A function of a tensor."""

    kind = "activation"

    def candidates(self) -> Iterable[Sample]:
        return guess.activation(self.thing)

    def forward(self, sample: Sample) -> Function:
        return lambda *xs: self.thing(*sample.arguments, *xs, **sample.options)


class LossSubject(ActivationSubject):
    kind = "loss"

    def candidates(self) -> Iterable[Sample]:
        return guess.loss(self.thing)


class OpSubject(ActivationSubject):
    kind = "op"

    def candidates(self) -> Iterable[Sample]:
        yield from guess.op(self.thing)
        if not self.accepted:  # only gradient rules know what to call it with
            yield from calls().get(self.name, ())

    def forward(self, sample: Sample) -> Function:
        """Of a function that returns several tensors, the first; one that takes a list has one."""
        listed = guess.takes_list(self.thing)

        def function(*xs: Tensor) -> Any:
            inputs: Any = [list(xs)] if listed else xs
            out: Any = self.thing(*sample.arguments, *inputs, **sample.options)
            return out[0] if isinstance(out, tuple | list) and out else out

        return function

    def use(self, sample: Sample) -> str:
        names = [f"x{i}" for i in range(len(sample.inputs))]
        listed = guess.takes_list(self.thing)
        return sample.call(self.expression(), [f"[{', '.join(names)}]"] if listed else names)


class RegularizerSubject(Subject):
    """A factory of a function of named parameters."""

    kind = "regularizer"
    separate = True

    def candidates(self) -> Iterable[Sample]:
        return guess.regularizer(self.thing)

    def named(self, sample: Sample) -> Sample:
        return sample if sample.names else guess.named(sample)

    def forward(self, sample: Sample) -> Function:
        penalty = self.thing(*sample.arguments, **sample.options)
        return lambda *xs: penalty(dict(zip(sample.names, xs, strict=True)))

    def use(self, sample: Sample) -> str:
        pairs = [f'"{name}": x{i}' for i, name in enumerate(sample.names)]
        return f"{sample.call(self.expression())}({{{', '.join(pairs)}}})"
