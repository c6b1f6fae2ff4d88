"""The kinds of plugin that ``tensorgraph new`` writes; plugin_name stands for the name."""

from __future__ import annotations

from typing import NamedTuple

from tensorgraph.errors import ConfigError
from tensorgraph.registry import near_miss


class Kind(NamedTuple):
    """One kind. Its template is the folder ``templates/<name>``."""

    name: str
    registry: str  # tg.plugins.<registry>
    use: str  # for the README: Python, or a command where it begins with $
    key: str = "plugin_name"  # what it is registered under
    reserved: tuple[str, ...] = ()  # names that mean something else there


KINDS = {
    kind.name: kind
    for kind in (
        Kind("layer", "layers", "layer = tg.layers.plugin_name()"),
        Kind("activation", "activations", "y = tg.activations.plugin_name(x)"),
        Kind("loss", "losses", "loss = tg.losses.plugin_name(prediction, target)"),
        Kind(
            "optimizer",
            "optimizers",
            "optimizer = tg.optimizers.plugin_name(model.parameters(), lr=1e-3)",
        ),
        Kind(
            "regularizer",
            "regularizers",
            "penalty = tg.regularizers.plugin_name()(model.named_parameters())",
        ),
        Kind(
            "augmentation",
            "augmentations",
            "images = tg.augmentations.plugin_name(std=0.05)(images, key)",
        ),
        Kind(
            "kernel",
            "kernels",
            'tg.use(kernels={"logsumexp": "plugin_name"})  # this one, or an error',
            key="numpy/logsumexp/plugin_name",
            reserved=("portable",),
        ),
        Kind("op", "ops", "z = tg.ops.plugin_name(x, y)"),
        Kind("backend", "backends", 'tg.use(backend="plugin_name")', reserved=("abstract", "auto")),
        Kind("dataset", "datasets", "$ tensorgraph train --data plugin_name"),
        Kind("metric", "metrics", "value = tg.metrics.plugin_name(scores, labels)"),
        Kind("command", "commands", "$ tensorgraph plugin_name lenet5"),
    )
}


def find(name: str) -> Kind:
    if name not in KINDS:
        raise ConfigError(f"no kind of plugin is named {near_miss(name, KINDS)}")
    return KINDS[name]
