"""The methods by name, and what is said of each beside its picture."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph.registry import near_miss
from tensorgraph_explain import changing, gradients, inside
from tensorgraph_explain.sanity import Method


class Way(NamedTuple):
    """A method; ``over``: its map lies over the image; ``of_layer``: it takes the option layer."""

    run: Callable[..., Any]
    says: str
    over: bool = True
    of_layer: bool = False


METHODS = {
    "saliency": Way(gradients.saliency, "how much the score changes with each value"),
    "smooth_grad": Way(gradients.smooth_grad, "the mean saliency of noisy copies"),
    "integrated_gradients": Way(
        gradients.integrated_gradients,
        "what each value adds to the score: orange for, blue against",
    ),
    "grad_cam": Way(inside.grad_cam, "where the feature maps speak for the class", of_layer=True),
    "occlusion": Way(
        changing.occlusion,
        "what the score loses where a window is hidden: orange for, blue against",
    ),
    "translation": Way(
        changing.translation,
        "what moving the image does to the score; in the middle as it is",
        over=False,
    ),
    "feature_maps": Way(inside.feature_maps, "what a layer gives", over=False, of_layer=True),
    "filters": Way(inside.filters, "the weights of a convolution", over=False, of_layer=True),
    "edges": Way(changing.edges, "the edges of the image: a control that knows no model"),
}


def usual(model: tg.Layer) -> list[str]:
    """The methods that are asked unless others are named: Grad-CAM of what has a convolution."""
    convolves = any(p.ndim > 2 for p in model.parameters())
    return ["grad_cam"] * convolves + ["occlusion", "integrated_gradients"]


def method(name: str, layer: str | None) -> Method:
    """The method of that name, at a layer if one is given and the method looks at one."""
    if name not in METHODS:
        raise ConfigError(f"--method: there is no {near_miss(name, METHODS)}")
    way = METHODS[name]
    return functools.partial(way.run, layer=layer) if way.of_layer else way.run


def remark(name: str, model: tg.Layer, x: tg.Tensor, target: Any, values: Any) -> str:
    """A figure that belongs to the picture of one image."""
    if name == "integrated_gradients":
        error = gradients.completeness(model, x, target, values)[0]
        return f"completeness error {error:.2g} of the score"
    if name == "translation":
        return f"the answer stays in {changing.steadiness(model, x)[0]:.0%} of the places"
    return ""
