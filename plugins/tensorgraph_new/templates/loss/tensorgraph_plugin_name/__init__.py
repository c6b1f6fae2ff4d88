"""A loss for TensorGraph: pseudo-Huber, which outliers move little."""

import tensorgraph as tg
from tensorgraph.hookspecs import Register

from tensorgraph_plugin_name.loss import plugin_name


@tg.hookimpl
def register_losses(register: Register) -> None:
    register("plugin_name", plugin_name)
