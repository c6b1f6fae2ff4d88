"""A backend for TensorGraph: NumPy, with matrix products of float32 summed in float64."""

import tensorgraph as tg
from tensorgraph.hookspecs import RegisterBackend


def make() -> tg.Backend:
    """Called on first use, so that nothing imports the array library before. An ImportError
    says why the backend is not available."""
    from tensorgraph_plugin_name.backend import PluginName

    return PluginName()


@tg.hookimpl
def register_backends(register: RegisterBackend) -> None:
    register("plugin_name", make)
