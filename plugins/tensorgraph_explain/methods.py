"""The methods: walks that say what they explain, ours and those of other plugins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg
from tensorgraph.backend import imported
from tensorgraph.errors import ConfigError
from tensorgraph.registry import near_miss
from tensorgraph_explain import changing, gradients
from tensorgraph_explain.asking import scores


class Method(NamedTuple):
    """A method by its name; ``over``: its map lies over the image; ``of_layer``: it looks at one
    layer, which may be chosen."""

    name: str
    run: Callable[..., Any]
    says: str
    over: bool
    of_layer: bool


def method(name: str) -> Method:
    """The walk of that name, if it has the attribute ``explains``, a sentence."""
    run = _walk(name) if name in tg.walks else None
    says = getattr(run, "explains", None)
    if run is None or says is None:
        known = [walk for walk in tg.walks if hasattr(_walk(walk), "explains")]
        raise ConfigError(f"--method: there is no {near_miss(name, known)}")
    of_layer = "layer" in inspect.signature(run).parameters
    return Method(name, run, says, getattr(run, "over", True), of_layer)


def methods(names: list[str], layer: str | None) -> list[Method]:
    """Those of these names, each once; those that look at a layer look at this one."""
    found = [method(name) for name in dict.fromkeys(names)]
    if layer is None:
        return found
    if not any(each.of_layer for each in found):
        raise ConfigError(f"--layer: of {', '.join(names)} none looks at a layer; leave it out")
    return [
        each._replace(
            run=functools.partial(each.run, layer=layer), says=f"{each.says}, layer {layer}"
        )
        if each.of_layer
        else each
        for each in found
    ]


def usual(model: tg.Layer) -> list[str]:
    """The methods that are asked unless others are named: Grad-CAM of what has a convolution."""
    convolves = any(p.ndim > 2 for p in model.parameters())
    return ["grad_cam"] * convolves + ["occlusion", "integrated_gradients"]


def remark(name: str, model: tg.Layer, x: tg.Tensor, target: Any, values: Any) -> str:
    """A figure that belongs to the picture of one image."""
    if name == "integrated_gradients":
        error = gradients.completeness(model, x, target, values)[0]
        return f"completeness error {error:.2g} of the score"
    if name == "translation":
        score, most = scores(model, x, target)[0], np.abs(values).max()
        return (
            f"the answer stays in {changing.steadiness(model, x)[0]:.0%} of the places; "
            f"the score of {score:.2g} changes by up to {most:.2g}"
        )
    return ""


def _walk(name: str) -> Callable[..., Any]:
    return imported(tg.walks[name], f"walk {name!r} of plugin {tg.walks.plugin_of(name)!r}")
