"""The CuPy (CUDA) backend: one NVIDIA GPU."""

from tensorgraph import Backend, hookimpl
from tensorgraph.hookspecs import Register, RegisterBackend


def make() -> Backend:
    from tensorgraph_cupy.backend import CupyBackend

    return CupyBackend()


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    register("cupy", make)


@hookimpl
def register_checks(register: Register) -> None:
    register("gpu", "tensorgraph_cupy.availability:check")
