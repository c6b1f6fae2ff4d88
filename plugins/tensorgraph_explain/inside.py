"""What layers hold and give: filters, feature maps, and Grad-CAM, which weighs those."""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import ConfigError
from tensorgraph.registry import near_miss
from tensorgraph_explain.asking import Target, answers, explains, leaf, predicting, total


class Heard(config.Listener):
    """What each layer of a model gave last, by its path, in the order in which they ended."""

    def __init__(self, model: tg.Layer) -> None:
        self.layers = dict(model.layers())
        self.paths = {layer: path for path, layer in self.layers.items()}
        self.given: dict[str, tg.Tensor] = {}

    def leave(self, layer: tg.Layer, out: tg.Tensor) -> None:
        path = self.paths[layer]
        self.given.pop(path, None)  # a layer that runs twice stands where it ran last
        self.given[path] = out

    def features(self, path: str | None, ndim: int) -> tg.Tensor:
        """The feature maps of a layer; unless one is named, of the last one with parameters that
        still has more than one place."""
        maps = {p: x for p, x in self.given.items() if x.ndim == ndim and p}
        if path is not None:
            if path not in maps:
                raise ConfigError(f"layer: no feature maps are given by {near_miss(path, maps)}")
            return maps[path]
        own = [
            p
            for p, x in maps.items()
            if self.layers[p].own_parameters() and max(x.shape[2:], default=1) > 1
        ]
        if not own:
            raise ConfigError(
                "this model has no layer with feature maps: its layers do not keep the axes of the "
                "image; ask with saliency or occlusion"
            )
        return maps[own[-1]]


@explains("where the feature maps speak for the class")
def grad_cam(
    model: tg.Layer, x: tg.Tensor, target: Target = None, *, layer: str | None = None
) -> Any:
    """Where the feature maps of a layer speak for the class: their sum, each weighed by the mean
    of the score's gradient, without what is negative (Selvaraju et al., 2017). (N, 1, …), enlarged
    to the image linearly."""
    chosen, own, heard = answers(model, x, target), leaf(x), Heard(model)
    with predicting(model), config.listen(heard):
        score = total(model, own, chosen)
    maps = heard.features(layer, x.ndim)
    (slope,) = tg.grad(score, [maps])
    weights = tg.ops.mean(slope, axis=tuple(range(2, x.ndim)), keepdims=True)
    found = tg.ops.relu((weights * maps).sum(axis=1, keepdims=True))
    return enlarged(found.numpy(), x.shape[2:])


@explains("what a layer gives", over=False)
def feature_maps(
    model: tg.Layer, x: tg.Tensor, target: Target = None, *, layer: str | None = None
) -> Any:
    """What a layer gives for the images (N, channels, …); it knows of no class."""
    heard = Heard(model)
    with predicting(model), tg.no_grad(), config.listen(heard):
        model(x)
    return heard.features(layer, x.ndim).numpy()


@explains("the weights of a convolution", over=False)
def filters(
    model: tg.Layer, x: tg.Tensor, target: Target = None, *, layer: str | None = None
) -> Any:
    """The weights of a convolution, unless one is named of the first: (N, filters × channels, …),
    for every image the same."""
    named = {p: v.numpy() for p, v in model.named_parameters().items() if v.ndim == x.ndim}
    found = {p.rpartition(".")[0]: v for p, v in named.items() if max(v.shape[2:], default=1) > 1}
    if not found:
        raise ConfigError("this model has no convolution, so it has no filters to show")
    if layer is not None and layer not in found:
        raise ConfigError(f"layer: there are no filters in {near_miss(layer, found)}")
    own = found[layer if layer is not None else next(iter(found))]
    flat = own.reshape(1, -1, *own.shape[2:])
    return np.broadcast_to(flat, (len(x), *flat.shape[1:]))


def enlarged(maps: Any, size: tuple[int, ...]) -> Any:
    """Maps (N, C, …) at another size, linear between the centres of their places."""
    for axis, n in enumerate(size, 2):
        m = maps.shape[axis]
        at = (np.arange(n) + 0.5) * m / n - 0.5
        shares = np.stack([np.interp(at, np.arange(m), row) for row in np.eye(m)])
        maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ shares, -1, axis)
    return maps
