"""``tensorgraph draw``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tensorgraph as tg

MARK = "<!-- tensorgraph draw -->"


def draw(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to write to [default: DIR].")] = None,
) -> None:
    """Draw a trained model and one step of its training, as SVG.

    model.svg has a box for each layer: its shape, parameters, operations and what is frozen.
    step.svg has all that one batch takes: forward, backward and the update, as they run.
    """
    from tensorgraph_explain.pictures import write

    model, step, arguments = tg.plugins.walk("training_step", folder)
    out = out or folder
    images = arguments[0]
    spec = tg.Spec((1, *images.shape[1:]), images.dtype)
    recorded = tg.compile(step)
    recorded(*arguments)  # in the mode of training, in which frozen layers predict
    drawn = recorded.plan.draw(names=model.named_state())
    svg = tg.plugins.walk("diagram", model.eval(), spec)
    for name, text in (("model.svg", svg), ("step.svg", drawn)):
        write(out / name, f"{MARK}\n{text}".encode(), MARK.encode())
        print(out / name)
