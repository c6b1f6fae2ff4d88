"""An optimizer for TensorGraph: steps of one size along the sign of the mean gradient."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.optimizer import PluginName


@tg.hookimpl
def register_optimizers(register: Register) -> None:
    register("plugin_name", PluginName)
