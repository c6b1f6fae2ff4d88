"""The snake activation: an op with its gradient, a layer that learns its frequency, two kernels."""

from importlib.util import find_spec

import tensorgraph
from acme_snake.layers import Snake
from acme_snake.ops import activation, snake
from tensorgraph.hookspecs import Register, RegisterKernel


@tensorgraph.hookimpl
def register_ops(register: Register) -> None:
    register("snake", snake)


@tensorgraph.hookimpl
def register_activations(register: Register) -> None:
    register("snake", activation)


@tensorgraph.hookimpl
def register_layers(register: Register) -> None:
    register("snake", Snake)


def is_large(x: tensorgraph.Shaped, a: tensorgraph.Shaped) -> bool:
    return x.size >= 1024


@tensorgraph.hookimpl
def register_kernels(register: RegisterKernel) -> None:
    kernels = {"in_place": "acme_snake.in_place:snake"}  # imported when it is first used
    if find_spec("numba") is not None:
        kernels["compiled"] = "acme_snake.compiled:snake"  # the last is asked first
    for name, kernel in kernels.items():
        register(backend="numpy", op="snake", name=name, kernel=kernel, supports=is_large)
