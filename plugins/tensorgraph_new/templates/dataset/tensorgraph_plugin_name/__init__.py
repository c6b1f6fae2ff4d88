"""A dataset for TensorGraph: drawn discs and squares, to try a model on."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.dataset import PluginName


@tg.hookimpl
def register_datasets(register: Register) -> None:
    register("plugin_name", PluginName())
