"""``tensorgraph new KIND NAME``: a plugin to begin from, as a distribution that pip installs."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_commands(register: Register) -> None:
    register("new", "tensorgraph_new.command:new")
