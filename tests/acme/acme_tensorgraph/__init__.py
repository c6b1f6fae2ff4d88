"""The snake activation: an op with its gradient, a layer that learns its frequency, a kernel."""

import tensorgraph
from acme_tensorgraph.layers import Snake
from acme_tensorgraph.ops import snake
from tensorgraph.hookspecs import Register, RegisterKernel


@tensorgraph.hookimpl
def register_activations(register: Register) -> None:
    register("snake", snake)


@tensorgraph.hookimpl
def register_layers(register: Register) -> None:
    register("snake", Snake)


def is_large(x: tensorgraph.Shaped, *, a: float) -> bool:
    return x.size >= 1024


@tensorgraph.hookimpl
def register_kernels(register: RegisterKernel) -> None:
    register(
        backend="numpy",
        op="snake",
        name="in_place",
        kernel="acme_tensorgraph.kernels:snake_in_place",  # imported when it is first used
        supports=is_large,
    )
