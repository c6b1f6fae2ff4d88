"""The CuPy (CUDA) backend: one NVIDIA GPU."""

from tensorgraph import Backend, hookimpl
from tensorgraph.hookspecs import Register, RegisterBackend, RegisterCompiler


def make() -> Backend:
    from tensorgraph_cupy.backend import CupyBackend

    return CupyBackend()


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    register("cupy", make)


@hookimpl
def register_compilers(register: RegisterCompiler) -> None:
    register(backend="cupy", name="graph", compiler="tensorgraph_cupy.plan.runner:compile_program")


@hookimpl
def register_checks(register: Register) -> None:
    register("gpu", "tensorgraph_cupy.availability:check")
