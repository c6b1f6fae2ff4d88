"""``tensorgraph predict``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorgraph_train.commands import common

if TYPE_CHECKING:
    from tensorgraph_train.answers import Answer


def predict(
    folder: common.Folder,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE", help="Image files, or folders.", show_default=False),
    ],
    abstain: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Say 'uncertain' where the answer's probability is below this."
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a table, a line an image.")
    ] = None,
    views: common.Views = 0,
    backend: common.Backend = None,
    as_json: common.Json = False,
) -> None:
    """Say what each image shows. Not for clinical use.

    Probabilities are calibrated, and the answer takes the threshold, as both were settled on the
    validation images. An image unlike the training images is marked: its answer may mean nothing.
    """
    from tensorgraph_train import answers, display, storage

    with common.scope_of(folder, backend):
        found = list(answers.answers(folder, images, abstain, views))
    if table is not None:
        storage.write(table, _csv(found).encode())
    if as_json:
        print(json.dumps([_json(answer) for answer in found], indent=1, ensure_ascii=False))
    elif table is None:
        display.predictions(found)
    else:
        display.predicted(found, table)


def _json(answer: Answer) -> dict[str, Any]:
    """``probability`` is that of the class; of an image that is uncertain, and of several labels,
    there is none."""
    return {
        "image": answer.image,
        "class": answer.said,
        "probability": answer.figures.get(answer.said),
        "probabilities": answer.figures,
        "unlike": list(answer.unlike),
    }


def _csv(found: Sequence[Answer]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "answer", *(found[0].figures if found else ()), "unlike"])
    for answer in found:
        figures = map(repr, answer.figures.values())
        table.writerow([answer.image, answer.said, *figures, "; ".join(answer.unlike)])
    return text.getvalue()
