"""Layers made of layers: one after the other, and around a shortcut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tensorgraph import Layer, Tensor
from tensorgraph.errors import ConfigError, ShapeError

Stage = Callable[[Tensor], Tensor]


def callable_or_error(layer: str, role: str, stage: object) -> None:
    if isinstance(stage, type):
        raise ConfigError(
            f"{layer}: {role} is the class {stage.__name__}, not a layer; call it: "
            f"{stage.__name__}(…)"
        )
    if not callable(stage):
        raise ConfigError(
            f"{layer}: {role} is {stage!r}, which cannot be called; a stage is a layer or a "
            "function of a tensor"
        )


class Sequential(Layer):
    """Its stages one after the other; each is a layer or any function of a tensor.

    The stages are the attributes ``"0"``, ``"1"``, …, so that parameters are named as in PyTorch;
    ``model[2]`` and ``for stage in model`` give them back, ``model[:2]`` a model of the first two
    that shares their parameters.
    """

    def __init__(self, *stages: Stage) -> None:
        for i, stage in enumerate(stages):
            callable_or_error("sequential", f"stage {i}", stage)
            setattr(self, str(i), stage)
        self.length = len(stages)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int | slice) -> Any:
        stages = [vars(self)[str(n)] for n in range(self.length)]
        return Sequential(*stages[i]) if isinstance(i, slice) else stages[i]

    def __iter__(self) -> Iterator[Stage]:
        return (vars(self)[str(n)] for n in range(self.length))

    def forward(self, x: Tensor) -> Tensor:
        for stage in self:
            x = stage(x)
        return x

    def __repr__(self) -> str:
        lines = [f"  {i}: {text(stage)}," for i, stage in enumerate(self)]
        return "\n".join(["Sequential(", *lines, ")"]) if lines else "Sequential()"


class Residual(Layer):
    """``activation(body(x) + shortcut(x))``; without a shortcut, ``body(x) + x``."""

    def __init__(
        self, body: Stage, shortcut: Stage | None = None, activation: Stage | None = None
    ) -> None:
        callable_or_error("residual", "body", body)
        for role, stage in (("shortcut", shortcut), ("activation", activation)):
            if stage is not None:
                callable_or_error("residual", role, stage)
        self.body = body
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(x)
        short = x if self.shortcut is None else self.shortcut(x)
        if out.shape != short.shape:
            raise ShapeError(
                f"residual: the body gives {out.spec} and the shortcut {short.spec}; give a "
                f"shortcut that ends in {out.shape[1:]}, such as a conv2d with kernel_size 1 and "
                "the body's stride"
            )
        out = out + short
        return out if self.activation is None else self.activation(out)

    def __repr__(self) -> str:
        roles = ("body", "shortcut", "activation")
        given = [(role, vars(self)[role]) for role in roles if vars(self)[role] is not None]
        return "\n".join(["Residual(", *[f"  {role}={text(x)}," for role, x in given], ")"])


def text(stage: object) -> str:
    """A stage as it is shown inside another."""
    name = getattr(stage, "__name__", None) or repr(stage)
    return str(name).replace("\n", "\n  ")
