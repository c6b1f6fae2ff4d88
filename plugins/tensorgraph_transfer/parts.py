"""The parts of a model from its input to its output, and names of parameters by pattern."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable

import tensorgraph as tg
from tensorgraph.errors import ConfigError


def parts(model: tg.Layer) -> list[list[str]]:
    """The names of the parameters of each part, the head last.

    A part is an inner layer that has parameters, in the order in which the model lists them; a
    normalisation belongs to what comes before it.
    """
    found: list[list[str]] = []
    for path, layer in model.children():
        names = [f"{path}.{name}" for name in layer.named_parameters()]
        if names and found and _normalises(layer):
            found[-1] += names
        elif names:
            found.append(names)
    if not found:
        raise ConfigError("transfer: the model has no inner layers with parameters")
    return found


def _normalises(layer: tg.Layer) -> bool:
    return isinstance(layer, tuple(kind for name, kind in tg.layers.items() if "norm" in name))


def matching(model: tg.Layer, pattern: str, key: str) -> list[str]:
    """The parameters whose name, or the name of a layer they are in, fits the pattern."""
    names = list(model.named_parameters())
    found = [name for name in names if any(fnmatch.fnmatchcase(x, pattern) for x in paths(name))]
    if not found:
        close = difflib.get_close_matches(pattern, {x for n in names for x in paths(n)}, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        tops = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
        raise ConfigError(
            f"{key}: no parameter is called {pattern!r}{hint}. The model's parts are {tops}"
        )
    return found


def paths(name: str) -> Iterable[str]:
    """``layer1.0.weight`` and all that it lies in: ``layer1.0``, ``layer1``."""
    while name:
        yield name
        name = name.rpartition(".")[0]
