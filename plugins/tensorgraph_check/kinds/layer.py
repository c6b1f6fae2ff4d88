"""A layer at work, with its parameters and its state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import tensorgraph as tg
from tensorgraph import Layer, Tensor
from tensorgraph.spec import is_floating
from tensorgraph_check import guess
from tensorgraph_check.gradient import random_like
from tensorgraph_check.sample import Sample
from tensorgraph_check.subject import Step, Subject, outputs

Function = Callable[..., Tensor]


class LayerSubject(Subject):
    """A layer: a class, another factory, or one that was made."""

    kind = "layer"

    def candidates(self) -> Iterable[Sample]:
        return guess.layer(self.thing)

    def new(self, sample: Sample) -> Layer:
        """A layer that nobody has used."""
        if isinstance(self.thing, Layer):
            return _typed(copy.deepcopy(self.thing))
        made = self.thing(*copy.deepcopy(sample.arguments), **copy.deepcopy(dict(sample.options)))
        if not isinstance(made, Layer):
            raise TypeError(f"it made {type(made).__name__}, not a tensorgraph.Layer")
        return made

    def forward(self, sample: Sample) -> Layer:
        return self.new(sample)

    def trained(self, function: Function) -> list[Tensor]:
        return [p for p in function.parameters() if p.built]  # type: ignore[attr-defined]

    def built(self, sample: Sample, dtype: str) -> Layer:
        """A fresh layer that has seen its input's shape, with parameters that are not special."""
        layer = self.new(sample)
        with tg.no_grad():
            layer.eval()(*sample.tensors(dtype))
            for p in layer.train().parameters():
                if p.built:
                    p.assign(p.detach() + random_like(p, 3) * 0.25)
        return layer

    def step(self, sample: Sample, dtype: str) -> Step:
        self._working = sample, dtype
        layer = self.built(sample, dtype)

        def run(*xs: Tensor) -> list[Tensor]:
            return outputs(layer, xs, self.trained)

        return Step(run, layer.state, layer.load_state)

    def use(self, sample: Sample) -> str:
        made = self.name if isinstance(self.thing, Layer) else sample.call(self.expression())
        return f"layer = {made}\nlayer(x0)"


def _typed(layer: Layer) -> Layer:
    """With its floating-point state in the dtype in force."""
    dtype = tg.config.current().dtype.value
    for x in layer.named_state().values():
        if x.built and is_floating(x.dtype) and x.dtype != dtype:
            x._adopt(tg.tensor(x, dtype=dtype))
    return layer
