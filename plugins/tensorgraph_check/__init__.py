"""Proves plugins right: ``tensorgraph check``, and what ``tensorgraph.testing`` calls."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_commands(register: Register) -> None:
    register("check", "tensorgraph_check.command:check")


@hookimpl
def register_walks(register: Register) -> None:
    register("check", "tensorgraph_check.find:check")
    register("gradcheck", "tensorgraph_check.gradient:gradcheck")
