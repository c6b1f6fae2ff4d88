"""An activation for TensorGraph: mish, a smooth relu."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.activation import plugin_name


@tg.hookimpl
def register_activations(register: Register) -> None:
    register("plugin_name", plugin_name)
