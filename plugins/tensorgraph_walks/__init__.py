"""Walks over models and steps: recording, compiling, summaries."""

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_walks(register: Register) -> None:
    register("compile", "tensorgraph_walks.compiled:Compiled")
    register("record", "tensorgraph_walks.record:record")
    register("summary", "tensorgraph_walks.summary:summarize")
