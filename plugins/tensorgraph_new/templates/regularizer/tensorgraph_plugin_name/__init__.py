"""A regularizer for TensorGraph: small weights are drawn to zero, large ones are left."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.regularizer import plugin_name


@tg.hookimpl
def register_regularizers(register: Register) -> None:
    register("plugin_name", plugin_name)
