"""The kernel laboratory: times ops and kernels, compares them, and guards against slower ones."""

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_walks(register: Register) -> None:
    register("machine", "tensorgraph_bench.machine:described")


@hookimpl
def register_commands(register: Register) -> None:
    register("bench", "tensorgraph_bench.command:bench")
