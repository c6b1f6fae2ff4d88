"""Search: many short trainings over ranges that the run file writes, and what of them mattered."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register
from tensorgraph_search.pause import Pause


@hookimpl
def register_callbacks(register: Register) -> None:
    register("pause", Pause)


@hookimpl
def register_commands(register: Register) -> None:
    register("search", "tensorgraph_search.command:search")
