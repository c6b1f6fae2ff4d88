"""Samples: the inputs and options that a thing is tried with, and Python that makes them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tensorgraph as tg

FEW, MANY = 8, 1000  # elements that are written out, where there is an expression and where not
BEGINNING = 60  # of those that are more


@dataclass(frozen=True)
class Sample:
    """``thing(*arguments, **options)`` on ``inputs``: NumPy arrays, the floating ones float64.

    ``sources`` are expressions for the inputs, "" where none is known; ``names`` are those that a
    regularizer finds its parameters by.
    """

    inputs: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[Any, ...] = ()
    sources: tuple[str, ...] = ()
    guessed: bool = False
    names: tuple[str, ...] = ()

    def tensors(self, dtype: str) -> list[tg.Tensor]:
        """The inputs on the backend in force, the floating-point ones of this dtype."""
        return [
            tg.tensor(x, dtype=dtype if x.dtype.kind == "f" else str(x.dtype)) for x in self.inputs
        ]

    def resized(self, shapes: Sequence[tuple[int, ...]]) -> Sample:
        """The same numbers, repeated or cut to other shapes."""
        import numpy as np

        inputs = tuple(np.resize(x, shape) for x, shape in zip(self.inputs, shapes))
        sources = (
            f"np.resize({x}, {shape})" if x else "" for x, shape in zip(self.sources, shapes)
        )
        return replace(self, inputs=inputs, sources=tuple(sources))

    @property
    def shapes(self) -> str:
        shapes = (f"{x.dtype.name}{list(x.shape)}" for x in self.inputs)
        return ", ".join(shapes).replace("float64", "float")

    @property
    def given(self) -> str:
        given = ", ".join([*map(text, self.arguments), *_named(self.options)])
        return f" with {given}" if given else ""

    def __str__(self) -> str:
        return self.shapes + self.given

    def lines(self, dtype: str) -> list[str]:
        """Python that makes the inputs: ``x0``, ``x1``, …."""
        kinds = {type(x) for x in self.options.values()}
        named = [k for k in kinds if issubclass(k, tuple) and k is not tuple]
        made = [f"from {k.__module__} import {k.__name__}" for k in named]
        sources = self.sources or ("",) * len(self.inputs)
        for i, (x, source) in enumerate(zip(self.inputs, sources)):
            kind = dtype if x.dtype.kind == "f" else x.dtype.name
            made.append(f'x{i} = tg.tensor({array(x, source)}, dtype="{kind}")')
        return made

    def call(self, thing: str, first: Sequence[str] = ()) -> str:
        """Python that calls ``thing`` with the options, and with ``first`` by position."""
        arguments = [*map(text, self.arguments), *first, *_named(self.options)]
        return f"{thing}({', '.join(arguments)})"


def array(x: Any, source: str = "") -> str:
    """An expression for an array."""
    if source and x.size > FEW:
        return source
    if x.size > MANY:
        return f"np.resize({x.ravel()[:BEGINNING].tolist()}, {x.shape})"
    return f"np.array({x.tolist()})" if x.size else f"np.empty({x.shape})"


def text(value: Any) -> str:
    """An expression for an option: a layer is called by its registered name."""
    if isinstance(value, tg.Layer):
        name = next((k for k, made in tg.layers.items() if type(value) is made), "")
        return f"tg.layers.{name}({value._options()})" if name else repr(value)
    return getattr(value, "__name__", None) or repr(value)


def _named(options: Mapping[str, Any]) -> list[str]:
    return [f"{name}={text(value)}" for name, value in options.items()]


def normal(*shape: int, seed: int = 0) -> tuple[Any, str]:
    return _drawn(f"np.random.default_rng({seed}).standard_normal({shape})")


def between(low: float, high: float, *shape: int, seed: int = 0) -> tuple[Any, str]:
    return _drawn(f"np.random.default_rng({seed}).uniform({low}, {high}, {shape})")


def whole(high: int, *shape: int, seed: int = 0) -> tuple[Any, str]:
    """Integers from 0 up to ``high``."""
    return _drawn(f"np.random.default_rng({seed}).integers(0, {high}, {shape})")


def words(*shape: int, seed: int = 0) -> tuple[Any, str]:
    """Whole numbers of 32 bits, as keys of random numbers have them."""
    return _drawn(f"np.random.default_rng({seed}).integers(0, 2**32, {shape}, dtype=np.uint32)")


def flags(*shape: int, seed: int = 0) -> tuple[Any, str]:
    return _drawn(f"np.random.default_rng({seed}).integers(0, 2, {shape}).astype(bool)")


def _drawn(source: str) -> tuple[Any, str]:
    """The array and the expression: one says what the other is."""
    import numpy as np

    return eval(source, {"np": np, "bool": bool}), source


def sample(*inputs: tuple[Any, str], **options: Any) -> Sample:
    """A sample of drawn inputs."""
    arrays, sources = tuple(x for x, _ in inputs), tuple(source for _, source in inputs)
    return Sample(arrays, options, sources=sources, guessed=True)


def given(item: Any) -> Sample:
    """A sample as an author writes it: ``{"inputs": [...], "options": {...}}``, with "arguments"
    for what is positional; or a tuple of the inputs alone. A regularizer's inputs have names."""
    import numpy as np

    table = item if isinstance(item, Mapping) else {"inputs": item}
    unknown = table.keys() - {"inputs", "options", "arguments"}
    if unknown or isinstance(table.get("inputs"), str):
        raise tg.errors.ConfigError(
            f"samples: {sorted(map(str, unknown))} is not a part of a sample; it is "
            '{"inputs": [arrays], "options": {…}, "arguments": (…)}, or a tuple of arrays'
        )
    inputs = table.get("inputs", ())
    names = tuple(inputs) if isinstance(inputs, Mapping) else ()
    arrays = [np.asarray(inputs[x] if names else x) for x in inputs]
    arrays = [x.astype("float64") if x.dtype.kind == "f" else x for x in arrays]
    options, arguments = dict(table.get("options", {})), tuple(table.get("arguments", ()))
    return Sample(tuple(arrays), options, arguments, names=names)
