"""The report of a run: one HTML file, made of sections that any plugin may offer."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register

SECTIONS = (  # in the order in which they are read
    "at_a_glance",
    "data",
    "examples",
    "training",
    "performance",
    "curves",
    "confusion",
    "mistakes",
    "subgroups",
    "robustness",
    "model",
    "the_run",
    "checklist",
)


@hookimpl
def register_commands(register: Register) -> None:
    register("report", "tensorgraph_report.command:report")


@hookimpl
def register_sections(register: Register) -> None:
    for name in SECTIONS:
        register(name, f"tensorgraph_report.sections.{name}:{name}")
