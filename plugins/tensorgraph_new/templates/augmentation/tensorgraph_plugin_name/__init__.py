"""An augmentation for TensorGraph: noise on every pixel."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.augmentation import plugin_name


@tg.hookimpl
def register_augmentations(register: Register) -> None:
    register("plugin_name", plugin_name)
