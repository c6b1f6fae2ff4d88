"""``tensorgraph pick``: a list of the images to label next."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError


def pick(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
    ],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE", help="Image files, or folders.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The list to write.")],
    budget: Annotated[int, typer.Option(min=1, help="How many images to label.")] = 20,
    by: Annotated[str, typer.Option(help="entropy, margin, diverse or random.")] = "diverse",
    labelled: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A manifest; what has a label there is left out."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of diverse and random.")] = 0,
) -> None:
    """Say which images to label next, from those that have no label.

    The list is a manifest with empty labels, the most wanted image first. It does not say what the
    model thinks of an image, so that the reader is not led.
    """
    from tensorgraph_labelling import sampling

    if out.exists():
        raise ConfigError(
            f"--out {out}: there is such a file, and it may hold labels; choose another"
        )
    known = {
        (file.parent / row["path"]).resolve()
        for file in labelled or ()
        for row in sampling.rows(file)
    }
    names, p, features = tg.plugins.walk("unlabelled", folder, images)
    pool = [i for i, name in enumerate(names) if Path(name).resolve() not in known]
    if not pool:
        raise DataError("pick: every image has a label already")
    chosen = sampling.choose(by, p[pool], features[pool], budget, seed)
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "label"])
        table.writerows([str(Path(names[pool[i]]).resolve()), ""] for i in chosen)
    print(f"{len(chosen)} of {len(pool):,} images without a label, by {by}: {out}")
