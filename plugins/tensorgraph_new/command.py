"""``tensorgraph new KIND NAME``."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tensorgraph.errors import ConfigError
from tensorgraph_new import kinds, names, template


def new(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(kinds.KINDS)}.", show_default=False)],
    name: Annotated[
        str,
        typer.Argument(help="What it is to be called, such as my_layer.", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write [default: NAME, here].")
    ] = None,
) -> None:
    """Write a plugin to begin from.

    A folder with all of a distribution that pip installs: the package and its entry point, a test,
    a benchmark, a README and a file for CI. It works as it is; put your own in place of the
    example. NAME is what it registers and the plugin's name too; the package is tensorgraph_NAME,
    the distribution tensorgraph-NAME with hyphens. Nothing is overwritten.
    """
    chosen = kinds.find(kind)
    names.check(chosen, name)
    folder = Path(name) if out is None else out
    files = template.files(chosen, name)
    write(folder, files)
    print(f"{folder} is the distribution {template.distribution(name)}:")
    print(*(f"  {path}" for path in files), sep="\n")
    print("Next:")
    enter = f"cd {shlex.quote(str(folder))}"
    steps = (f"{enter} && pip install -e '.[test]'", f"tensorgraph check {name}", "pytest")
    print(*(f"  {step}" for step in steps), sep="\n")


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder with these files, all of it or nothing."""
    if os.path.lexists(folder):
        raise ConfigError(
            f"{folder} is here already, and nothing is overwritten; choose another with --out"
        )
    if not folder.parent.is_dir():
        raise ConfigError(
            f"{folder.parent} is no folder; make it first, or choose another place with --out"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        whole = Path(beside) / folder.name
        for path, text in files.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_text(text, "utf-8")
        whole.rename(folder)
