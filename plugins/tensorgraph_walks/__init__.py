"""Walks over models, steps and plans: summaries, recording, compiling, drawing, profiles."""

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_walks(register: Register) -> None:
    register("compile", "tensorgraph_walks.compiled:Compiled")
    register("diagram", "tensorgraph_walks.diagram:diagram")
    register("draw", "tensorgraph_walks.draw:draw")
    register("profile", "tensorgraph_walks.profile:profile")
    register("record", "tensorgraph_walks.record:record")
    register("text", "tensorgraph_walks.text:text")
    register("summary", "tensorgraph_walks.summary:summarize")
