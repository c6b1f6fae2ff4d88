"""``tensorgraph pick``, a list of the images to label next, and ``cluster``, groups of images."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
]
Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGE", help="Image files, or folders.", show_default=False),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="The list to write.")]


def pick(
    folder: Folder,
    images: Images,
    out: Out,
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

    _require_new(out)
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
    rows = [[str(Path(names[pool[i]]).resolve()), ""] for i in chosen]
    _write(out, ["path", "label"], rows)
    print(f"{len(chosen)} of {len(pool):,} images without a label, by {by}: {out}")


def cluster(
    folder: Folder,
    images: Images,
    out: Out,
    groups: Annotated[int, typer.Option(min=1, help="How many groups.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the first centres.")] = 0,
) -> None:
    """Group images that look alike to the model, by k-means on its features.

    The list is a manifest with empty labels and the columns group and distance, that from the
    group's centre; of each group the most typical image comes first.
    """
    from tensorgraph_labelling import clusters

    _require_new(out)
    names, _, features = tg.plugins.walk("unlabelled", folder, images)
    x = clusters.standardised(features)
    centres, nearest = clusters.k_means(x, groups, seed)
    away = clusters.distances(x, centres)[range(len(x)), nearest] ** 0.5
    order = sorted(range(len(x)), key=lambda i: (nearest[i], away[i]))
    rows = [[str(Path(names[i]).resolve()), "", nearest[i], f"{away[i]:.4g}"] for i in order]
    _write(out, ["path", "label", "group", "distance"], rows)
    sizes = ", ".join(str((nearest == i).sum()) for i in range(groups))
    print(f"{len(x):,} images in {groups} groups of {sizes}: {out}")


def _require_new(out: Path) -> None:
    if out.exists():
        raise ConfigError(
            f"--out {out}: there is such a file, and it may hold labels; choose another"
        )


def _write(out: Path, head: list[str], rows: list[list[Any]]) -> None:
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        table.writerows(rows)
