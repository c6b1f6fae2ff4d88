"""Seeing: what a model has learnt, what in an image decides its answer, and whether such a picture
can be trusted."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register


@hookimpl
def register_walks(register: Register) -> None:
    for module, names in {
        "gradients": ("saliency", "smooth_grad", "integrated_gradients", "completeness"),
        "inside": ("grad_cam", "feature_maps", "filters"),
        "changing": ("occlusion", "translation", "edges"),
        "sanity": ("sanity",),
    }.items():
        for name in names:
            register(name, f"tensorgraph_explain.{module}:{name}")


@hookimpl
def register_commands(register: Register) -> None:
    register("explain", "tensorgraph_explain.command:explain")
    register("draw", "tensorgraph_explain.drawing:draw")


@hookimpl
def register_sections(register: Register) -> None:
    register("explanations", "tensorgraph_explain.section:explanations")
