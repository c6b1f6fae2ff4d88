"""Learning from what was learnt: weights of other programs, frozen parts, their learning rates."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_walks(register: Register) -> None:
    register("published_weights", "tensorgraph_transfer.published:published")
    register("transfer", "tensorgraph_transfer.transfer:Transfer")


@hookimpl
def register_commands(register: Register) -> None:
    register("weights", "tensorgraph_transfer.command:weights")
