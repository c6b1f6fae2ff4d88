"""A layer for TensorGraph: swish, with a slope that is learnt for each channel."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.layer import PluginName


@tg.hookimpl
def register_layers(register: Register) -> None:
    register("plugin_name", PluginName)
