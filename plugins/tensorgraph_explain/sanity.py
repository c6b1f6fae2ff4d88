"""The sanity check of a map (Adebayo et al., 2018): with other weights it must be another map.

The weights of a copy are drawn anew layer by layer, from the last to the first, as they were before
training. A map that stays as it was does not show what the model has learnt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import ConfigError
from tensorgraph.layer import State
from tensorgraph_explain.asking import Target, answers, predicting

LIMIT = 0.5  # rank correlation from which on a map counts as unchanged
Method = Callable[[tg.Layer, tg.Tensor, Any], Any]


class Sanity(NamedTuple):
    """What became of a map.

    own     the maps of the model itself
    layers  the path of the layer down to which the weights were random, a stage each
    alike   (stages, N): the rank correlation with the model's own map, of each image
    random  the maps with all weights random
    """

    own: Any
    layers: tuple[str, ...]
    alike: Any
    random: Any

    @property
    def passed(self) -> Any:
        """Whether the map is another once all weights are, for each image (N,)."""
        return self.alike[-1] < LIMIT

    def says(self, i: int) -> str:
        verdict = "passed" if self.passed[i] else "FAILED: this map does not show the model"
        return f"sanity check {verdict} (rank correlation {self.alike[-1, i]:.2f})"


def sanity(
    method: Method,
    model: tg.Layer,
    x: tg.Tensor,
    target: Target = None,
    *,
    draws: int = 3,
    most: int = 5,
) -> Sanity:
    """Ask ``method`` again with random weights: in ``most`` stages or fewer, and with all of them
    random ``draws`` times, of which the last stage has the mean.

    A map that is the same everywhere shows nothing, and counts as unchanged.
    """
    chosen = answers(model, x, target)
    own = method(model, x, chosen)
    other, kept = copy.deepcopy(model), config.random_state()
    stages = _stages(other, x, most)
    found, last = [], []
    try:
        tg.seed(0)  # the same verdict every time
        for layers in stages:
            _draw_anew(layers)
            random = method(other, x, chosen)
            found.append(alike(own, random))
        for _ in range(draws - 1):
            for layers in stages:
                _draw_anew(layers)
            last.append(alike(own, method(other, x, chosen)))
    finally:
        config.set_random_state(kept)
    found[-1] = np.mean([found[-1], *last], axis=0)
    return Sanity(own, tuple([*layers][-1] for layers in stages), np.array(found), random)


def alike(first: Any, second: Any) -> Any:
    """The rank correlation of the sizes of two maps of each image (Spearman's): 1 where the first
    is the same everywhere, 0 where only the second is."""
    return np.array([_correlation(_ranks(a), _ranks(b)) for a, b in zip(first, second)])


def _ranks(x: Any) -> Any:
    """Equal values share the mean of their ranks."""
    _, place, many = np.unique(np.abs(x), return_inverse=True, return_counts=True)
    return (np.cumsum(many) - (many - 1) / 2)[place.ravel()]


def _correlation(x: Any, y: Any) -> float:
    if x.std() == 0 or y.std() == 0:
        return float(x.std() == 0)
    return float(np.corrcoef(x, y)[0, 1])


class _Order(config.Listener):
    """The layers in the order in which they begin."""

    def __init__(self) -> None:
        self.layers: dict[tg.Layer, None] = {}

    def enter(self, layer: tg.Layer, x: tg.Tensor) -> None:
        self.layers[layer] = None


def _stages(model: tg.Layer, x: tg.Tensor, most: int) -> list[dict[str, list[State]]]:
    """Path → state of the layers that have some of their own, the last to run first, in groups."""
    order = _Order()
    with predicting(model), tg.no_grad(), config.listen(order):
        model(x[:1])
    paths = {layer: path for path, layer in model.layers()}
    owned: dict[str, list[State]] = {}
    for layer in reversed(order.layers):
        inner = {s for _, child in layer.children() for s in child.named_state().values()}
        states = [s for s in layer.named_state().values() if s not in inner]
        if any(isinstance(s, tg.Parameter) for s in states):
            owned[paths[layer]] = states
    if not owned:
        raise ConfigError("this model has no weights, so there is nothing to draw anew")
    names = np.array_split([*owned], min(most, len(owned)))
    return [{str(name): owned[str(name)] for name in part} for part in names]


def _draw_anew(layers: dict[str, list[State]]) -> None:
    for states in layers.values():
        for state in states:
            with tg.use(backend=state.backend.name):
                state.assign(state.initializer(state.spec))
