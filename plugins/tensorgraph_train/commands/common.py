"""What the commands share: arguments, and the settings to work under."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

import tensorgraph as tg
from tensorgraph.config import Choice
from tensorgraph_train.runfile import Settings

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
]
Backend = Annotated[
    str | None, typer.Option(help="numpy, cupy, or auto for the fastest that is here.")
]
Views = Annotated[
    int,
    typer.Option(
        min=0,
        max=1000,
        help="Ask also about so many augmented views of each image; the mean counts.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def scope(settings: Settings, backend: str | None, origin: str) -> tuple[Choice, tg.config.Scope]:
    """The backend and what chose it, and the settings to train under."""
    chosen = {}
    for name in tg.config.DEFAULTS:
        value, call = getattr(settings.train, name), backend if name == "backend" else None
        file = [Choice(value, f"train.{name} in {origin}")] if value else []
        chosen[name] = tg.config.choose(name, call, file)
    with tg.config.Scope(**chosen):
        tg.config.get_backend()  # fails at once where there is none
    return chosen["backend"], tg.config.Scope(**chosen)


def scope_of(folder: Path, backend: str | None) -> tg.config.Scope:
    """The settings to ask a run's model under: of the run's own the precision, which is the
    model's on every backend."""
    from tensorgraph_train import answers

    own = answers.settings_of(folder).train.precision
    settings = Settings()
    settings = dataclasses.replace(
        settings, train=dataclasses.replace(settings.train, precision=own)
    )
    return scope(settings, backend, str(folder / "run.toml"))[1]
