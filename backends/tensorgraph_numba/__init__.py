"""Faster kernels for the backend "numpy", compiled by Numba where that is installed."""

from importlib.util import find_spec

from tensorgraph import hookimpl
from tensorgraph.hookspecs import RegisterCompiler


@hookimpl
def register_compilers(register: RegisterCompiler) -> None:
    if find_spec("numba") is not None:
        compiler = "tensorgraph_numba.plan.beside:compile_program"
        register(backend="numpy", name="numba", compiler=compiler)
