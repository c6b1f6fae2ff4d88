"""An op for TensorGraph: the length of a vector, with a gradient that is finite at zero."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.op import plugin_name


@tg.hookimpl
def register_ops(register: Register) -> None:
    register("plugin_name", plugin_name)
