"""A command for TensorGraph: it counts the parameters of a model."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register


@tg.hookimpl
def register_commands(register: Register) -> None:
    """By name: the module is imported when the command runs."""
    register("plugin_name", "tensorgraph_plugin_name.command:run")
