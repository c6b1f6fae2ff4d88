"""A metric for TensorGraph: balanced accuracy, in which every class counts the same."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.metric import plugin_name


@tg.hookimpl
def register_metrics(register: Register) -> None:
    register("plugin_name", plugin_name)
