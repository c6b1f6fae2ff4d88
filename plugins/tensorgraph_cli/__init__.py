"""The ``tensorgraph`` command. Every subcommand comes by the hook register_commands."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 0, 2 for a user's mistake, 130 after Ctrl-C."""
    from tensorgraph_cli import command

    return command.run(arguments)


@hookimpl
def register_commands(register: Register) -> None:
    register("plugins", "tensorgraph_cli.plugins:plugins")
    register("doctor", "tensorgraph_cli.doctor:doctor")
