"""Splits made anew, by groups or into folds that the user asks for: the walk "split"."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from tensorgraph.data import Dataset
from tensorgraph.errors import ConfigError, DataError
from tensorgraph_vision import splits


def regroup(
    dataset: Dataset,
    *,
    seed: int,
    val: float,
    test: float,
    group: str | None = None,
    folds: int | None = None,
    number: int | None = None,
) -> Dataset:
    """The dataset with its images grouped by ``group``, a column or a pattern of their names, and
    those of "train" shared out; the parts that its source has beside train stay as they are.

    Of ``folds`` parts that of this ``number`` is for testing. An official "val" is then shared out
    with "train", and an official "test" is of no fold.
    """
    groups = dataset.groups if group is None else groups_of(dataset, group)
    own, notes = dict(dataset.splits), list(dataset.notes)
    names = dataset.names or [str(i) for i in range(len(dataset.labels))]
    rest = np.asarray(own["train"])
    arguments = (dataset.labels, names, dataset.classes)
    lacking = {"val": 0.0 if "val" in own else val, "test": 0.0 if "test" in own else test}
    if folds is not None:
        if number is None or not 1 <= number <= folds:
            raise ConfigError(f"data.fold = {number} of data.folds = {folds}: it is 1 to {folds}")
        rest = np.concatenate([rest, np.asarray(own.get("val", ()), np.int64)])
        parts = splits.fold(
            rest.tolist(), *arguments, seed=seed, folds=folds, number=number, val=val, groups=groups
        )
        if len(own.get("test", ())):
            notes.append(
                f"The {len(own['test'])} images of the official test part are left out of the "
                "folds: they are for the model that is chosen in the end."
            )
    else:
        parts = own | splits.split(
            rest.tolist(),
            *arguments,
            seed=seed,
            val=lacking["val"],
            test=lacking["test"],
            groups=groups,
        )
    if groups is None and (folds is not None or any(lacking.values())):
        notes.insert(0, splits.UNGROUPED)
    return dataclasses.replace(dataset, splits=parts, groups=groups, notes=tuple(notes))


def groups_of(dataset: Dataset, group: str) -> Any:
    """The group of each image: what a column holds, or what a pattern finds in the name."""
    if group in dataset.columns:
        return _filled(dataset, group)
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(f"data.group = {group!r} is no column and no pattern: {error}") from None
    if pattern.groups != 1:
        columns = ", ".join(dataset.columns) or "none"
        raise ConfigError(
            f"data.group = {group!r} is no column of {dataset.name} (columns: {columns}) and no "
            f"pattern with one group in parentheses, such as '(p[0-9]+)_'"
        )
    found = [pattern.search(name) for name in dataset.names]
    missing = [name for name, match in zip(dataset.names, found) if not (match and match[1])]
    if missing or not found:
        where = missing[0] if missing else dataset.name
        raise DataError(
            f"data.group = {group!r} finds nothing in {where!r} ({len(missing)} of {len(found)} "
            "images): a pattern must find each image's group"
        )
    return np.array([match[1] for match in found if match])


def _filled(dataset: Dataset, column: str) -> Any:
    values = np.asarray(dataset.columns[column])
    empty = np.isnan(values) if values.dtype.kind == "f" else values == ""
    if empty.any():
        first = int(empty.argmax())
        name = dataset.names[first] if len(dataset.names) else f"image {first}"
        raise DataError(
            f"data.group = {column!r}: {name} has no {column}, nor have {empty.sum() - 1} others; "
            "fill the column in, or leave these images out"
        )
    return values.astype(str)
