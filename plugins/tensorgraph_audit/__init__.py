"""The audit for leaks: duplicates and patients across splits, metadata that tells the labels."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_walks(register: Register) -> None:
    register("audit", "tensorgraph_audit.findings:audit")


@hookimpl
def register_commands(register: Register) -> None:
    register("audit", "tensorgraph_audit.command:audit")
