"""``tensorgraph report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tensorgraph.errors import ConfigError


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write [default: DIR/report.html].")
    ] = None,
) -> None:
    """Write one HTML file that shows what was done and how sure one may be of it.

    It opens in any browser and needs no network. It holds no file name and no path of the images.
    """
    try:
        from tensorgraph_report.page import html, write
        from tensorgraph_report.study import Study
    except ImportError as error:
        raise ConfigError(
            f"report: {error.name} is not installed; pip install 'tensorgraph[report]'"
        ) from error
    study = Study(folder)
    path = out or folder / "report.html"
    write(path, html(study))
    for sentence in study.notes:
        print(f"note  {sentence}")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
