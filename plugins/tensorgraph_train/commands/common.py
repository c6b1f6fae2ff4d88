"""What the commands share: arguments, the settings to work under, the images of a split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.config import Choice
from tensorgraph.errors import ConfigError
from tensorgraph_train.runfile import Settings

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
]
Backend = Annotated[
    str | None, typer.Option(help="numpy, cupy, or auto for the fastest that is here.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def scope(settings: Settings, backend: str | None, origin: str) -> tuple[Choice, tg.config.Scope]:
    """The backend and what chose it, and the settings to train under."""
    chosen = {}
    for name in tg.config.DEFAULTS:
        value, call = getattr(settings.train, name), backend if name == "backend" else None
        file = [Choice(value, f"train.{name} in {origin}")] if value else []
        chosen[name] = tg.config.choose(name, call, file)
    tg.config.get_backend(chosen["backend"].value)
    return chosen["backend"], tg.config.Scope(**chosen)


def split(dataset: tg.Dataset, name: str | None) -> tuple[str, Any]:
    """The images of a split; unless one is named the test images, or else those for validation."""
    import numpy as np

    splits = {k: np.asarray(v) for k, v in dataset.splits.items() if len(v)}
    splits["all"] = np.arange(len(dataset.labels))
    if name is None:
        name = next(k for k in ("test", "val", "train") if k in splits)
    if name not in splits:
        raise ConfigError(f"--split {name}: {dataset.name} has {', '.join(splits)}")
    return name, splits[name]
