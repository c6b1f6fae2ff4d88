"""Faster kernels for the backend "numpy", compiled by Numba where that is installed."""

from importlib.util import find_spec

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register, RegisterCompiler


@hookimpl
def register_compilers(register: RegisterCompiler) -> None:
    if find_spec("numba") is not None:
        compiler = "tensorgraph_numba.plan.beside:compile_program"
        register(backend="numpy", name="numba", compiler=compiler)


@hookimpl
def register_commands(register: Register) -> None:
    register("warm-up", "tensorgraph_numba.command:warm_up")


@hookimpl
def register_checks(register: Register) -> None:
    register("numba", "tensorgraph_numba.command:check")
