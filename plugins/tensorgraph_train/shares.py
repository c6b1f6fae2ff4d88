"""Which image is in which part: what must hold of the parts, what is told of them, split.csv."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import DataError
from tensorgraph_train import scores, storage

SPLIT = "split.csv"
HEADER = ("image", "split", "group", "label")


def checked(dataset: tg.Dataset, mixed: bool) -> tg.Dataset:
    """The dataset; where groups may be ``mixed``, with a note of those of several classes.

    Raises ``DataError`` where a part lacks one of the classes, or a group is mixed and may not be.
    """
    if dataset.task != "regression":
        _check_classes(dataset)
    if dataset.task != "classification" or dataset.groups is None:
        return dataset
    names, numbers = np.unique(np.asarray(dataset.groups), return_inverse=True)
    pairs = np.unique(np.stack([numbers, dataset.labels]), axis=1)
    several = np.flatnonzero(np.bincount(pairs[0]) > 1)
    if not len(several):
        return dataset
    count = f"{len(several):,} of {len(names):,} groups (patients)"
    if not mixed:
        first = several[0]
        classes = " and ".join(repr(dataset.classes[k]) for k in pairs[1][pairs[0] == first])
        raise DataError(
            f"{dataset.name}: patient (group) {str(names[first])!r} has images of {classes}; so "
            f"it is with {count}; mend the labels, or, where the class is that of an image and not "
            "of a patient, say so: --set data.mixed_groups=true"
        )
    note = f"{count} have images of several classes; each group is in one part all the same."
    return dataclasses.replace(dataset, notes=(*dataset.notes, note))


def _check_classes(dataset: tg.Dataset) -> None:
    every = len(dataset.classes)
    for part, own in dataset.splits.items():
        labels = dataset.labels[np.asarray(own, np.int64)]
        if not len(labels):
            continue
        shown = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=every)
        if not all(shown):
            lacking = ", ".join(repr(dataset.classes[k]) for k in np.flatnonzero(shown == 0))
            raise DataError(
                f"{dataset.name}: {part} has no image of the class {lacking}, so nothing could be "
                f"said of it; move some there, or leave the class out ({part} has {len(labels):,} "
                "images)"
            )


def part_of(dataset: tg.Dataset) -> list[str]:
    """The part of each image, "" for those in none."""
    found = [""] * len(dataset.labels)
    for part, own in dataset.splits.items():
        for i in own:
            found[int(i)] = part
    return found


def write(folder: Path, dataset: tg.Dataset) -> None:
    """split.csv: a row for each image, in the dataset's order."""
    columns = {name: x for name, x in dataset.columns.items() if name not in HEADER}
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow([*HEADER, *columns])
    groups = dataset.groups
    for i, part in enumerate(part_of(dataset)):
        name = dataset.names[i] if len(dataset.names) else str(i)
        group = "" if groups is None else groups[i]
        more = [_cell(x[i]) for x in columns.values()]
        table.writerow([name, part, group, scores.label(dataset, i), *more])
    storage.write(folder / SPLIT, out.getvalue().encode())


def _cell(value: Any) -> Any:
    """Numbers as short as they read back, what is not known as nothing."""
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else f"{float(value):.15g}"
    return value
