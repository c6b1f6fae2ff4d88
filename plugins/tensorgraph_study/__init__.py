"""What a study asks of a trained model: does it bear another scanner, and is it the better one."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_commands(register: Register) -> None:
    register("shift", "tensorgraph_study.command:shift")
    register("compare", "tensorgraph_study.command:compare")
