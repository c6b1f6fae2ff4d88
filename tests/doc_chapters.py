"""The chapters of docs/course: run as a reader would, and made into notebooks.

A chapter is a script in cells, as editors know them: ``# %%`` begins one of code, ``# %%
[markdown]`` one of text in comments. ``python tests/doc_chapters.py`` draws every chapter's figure
anew and writes the notebooks.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any
from unittest import mock

COURSE = Path(__file__).parent.parent / "docs" / "course"
MARKER = "# %%"
TEXT = " [markdown]\n"


def chapters() -> list[Path]:
    """The scripts, in the order of the course."""
    return sorted(COURSE.glob("[0-9][0-9]_*.py"))


def drawn(chapter: Path, picture: Path) -> dict[str, Any]:
    """Run a chapter and save its figure where it would show it; the names that it leaves."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    with mock.patch.object(plt, "show", lambda: plt.savefig(picture, dpi=80)):
        names = runpy.run_path(str(chapter))
    plt.close("all")
    return names


def notebook(chapter: Path) -> str:
    """The chapter as a Jupyter notebook, which has not been run."""
    _, *parts = chapter.read_text("utf-8").split(MARKER)  # before the first: the docstring
    cells = [_cell(i, part) for i, part in enumerate(parts)]
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": cells,
        "metadata": {"kernelspec": python, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, part: str) -> dict[str, Any]:
    """A cell of nbformat 4.5: its source is a list of lines."""
    common: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}}
    if not part.startswith(TEXT):
        source = part.strip().splitlines(keepends=True)
        code = {"cell_type": "code", "execution_count": None, "outputs": []}
        return {**common, **code, "source": source}
    lines = part.removeprefix(TEXT).strip().splitlines(keepends=True)
    source = [line.removeprefix("#").removeprefix(" ") for line in lines]
    return {**common, "cell_type": "markdown", "source": source}


def main() -> None:
    for folder in ("figures", "notebooks"):
        (COURSE / folder).mkdir(exist_ok=True)
    for chapter in chapters():
        print(f"--- {chapter.stem}")
        target = COURSE / "notebooks" / f"{chapter.stem}.ipynb"
        target.write_text(notebook(chapter), "utf-8")
        drawn(chapter, COURSE / "figures" / f"{chapter.stem}.png")


if __name__ == "__main__":
    main()
