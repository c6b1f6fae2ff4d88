"""A manifest: a table with the columns path, label and, where it has them, split, patient (or
group), and others, such as site, sex or age, that say more of each image."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.data import Dataset
from tensorgraph.errors import DataError
from tensorgraph_vision import labels as naming
from tensorgraph_vision.agreement import columns
from tensorgraph_vision.files import read
from tensorgraph_vision.formats import Formats
from tensorgraph_vision.splits import PARTS, TEST, UNGROUPED, VAL, split

COLUMNS = ("path", "label", "split", "group")
IDENTIFYING = re.compile(
    r"(patient|first|last|sur|family|given)?[ _]?names?|(patient[ _]?)?(birth.*|date of birth|"
    r"date_of_birth|dob|address|phone|telephone|e?mail)|accession.*|mrn|ssn"
)
GROUPS = ("group", "patient", "patient_id", "subject", "subject_id")  # each says the same


class Row(NamedTuple):
    line: int
    path: str
    label: str
    split: str
    group: str
    others: dict[str, str]  # the columns that are none of these


def accepts(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv")


def load(
    path: Path,
    *,
    seed: int = 0,
    val: float = VAL,
    test: float = TEST,
    task: str | None = None,
    **options: Any,
) -> Dataset:
    """Paths are relative to the manifest; of val and test what no row names is split off train.
    ``task`` says what the labels are where they do not (``labels.encode``); ``options`` are those
    of ``files.read``."""
    rows, notes = _rows(path)
    paths = [path.parent / row.path for row in rows]
    _check_paths(path, rows, paths)
    classes, labels = naming.encode([row.label for row in rows], str(path), task)
    if given := any(row.group for row in rows):
        _all_given(path, rows, "group", lambda row: row.group)
    official = _official(path, rows)
    images, files = read(paths, [row.path for row in rows], **options)
    of, groups = files.of, files.groups
    labels = labels[of]
    if given:
        groups = np.array([row.group for row in rows])[of]
    splits = {part: np.flatnonzero(np.isin(of, own)) for part, own in official.items()}
    lacking = {"val": 0.0 if "val" in splits else val, "test": 0.0 if "test" in splits else test}
    rest = splits["train"].tolist()
    splits |= split(rest, labels, files.names, classes, seed=seed, groups=groups, **lacking)
    if groups is None and any(lacking.values()):
        notes.insert(0, UNGROUPED)
    own = {name: x[of] for name, x in columns([row.others for row in rows]).items()}
    return Dataset(
        path.stem,
        images,
        white=files.white,
        labels=labels,
        classes=classes,
        splits=splits,
        groups=groups,
        columns={**files.columns, **own},
        names=files.names,
        notes=(*notes, *files.notes),
    )


def _rows(path: Path) -> tuple[list[Row], list[str]]:
    """The rows, and what is to be said of the columns."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in UTF-8: {error}; save it as UTF-8 (Excel calls that 'CSV UTF-8')"
        ) from None
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    head = [name.strip().lower() for name in next(reader, [])]
    place = _places(path, head)
    private = [name for name in head if IDENTIFYING.fullmatch(name)]
    more = {
        name: at
        for at, name in enumerate(head)
        if name and at not in place.values() and name not in private
    }
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(head):
            raise DataError(
                f"{path} line {reader.line_num}: the number of cells is {len(cells)}, and "
                f"line 1 has {len(head)}; put text with a {delimiter!r} in it between quotes"
            )
        found = {name: cells[at].strip() for name, at in place.items()}
        for name in ("path", "label"):
            if not found[name]:
                raise DataError(f"{path} line {reader.line_num}: the {name} is empty")
        others = {name: cells[at].strip() for name, at in more.items()}
        part, group = found.get("split", ""), found.get("group", "")
        rows.append(Row(reader.line_num, found["path"], found["label"], part, group, others))
    if not rows:
        raise DataError(f"{path} names no images: there is nothing below its first line")
    if not private:
        return rows, []
    return rows, [f"Left out, because they may say who somebody is: {', '.join(private)}."]


def _places(path: Path, head: list[str]) -> dict[str, int]:
    """Which column is which."""
    for name in ("path", "label"):
        if name not in head:
            near = difflib.get_close_matches(name, head, n=1)
            raise DataError(
                f"{path} line 1: no column {name!r}"
                + (f"; is it {near[0]!r}?" if near else "")
                + f"; the columns are: {', '.join(head) or 'none'}"
            )
    place = {name: head.index(name) for name in COLUMNS if name in head}
    together = [name for name in GROUPS if name in head]
    if len(together) > 1:
        raise DataError(
            f"{path} line 1: the columns {' and '.join(together)} both say which images belong "
            "together; leave one"
        )
    if together:
        place["group"] = head.index(together[0])
    return place


def _check_paths(manifest: Path, rows: list[Row], paths: list[Path]) -> None:
    seen: dict[Path, int] = {}
    known = Formats()
    for row, path in zip(rows, paths, strict=True):
        at = f"{manifest} line {row.line}"
        if not path.is_file():
            absent = sum(not p.is_file() for p in paths) - 1
            more = f", and {absent} more are missing" if absent else ""
            raise DataError(
                f"{at}: there is no file {row.path!r} in {manifest.parent.resolve()}{more}"
            )
        if known.of(path) is None:
            raise DataError(f"{at}: {row.path} is none of {known.kinds}")
        first = seen.setdefault(path.resolve(), row.line)
        if first != row.line:
            raise DataError(f"{at}: {row.path} is on line {first} already")


def _all_given(path: Path, rows: list[Row], column: str, cell: Callable[[Row], str]) -> None:
    for row in rows:
        if not cell(row):
            raise DataError(
                f"{path} line {row.line}: the {column} is empty, and other lines give one"
            )


def _official(path: Path, rows: list[Row]) -> dict[str, Any]:
    """The parts that the column "split" names; all is train where it is absent or empty."""
    if not any(row.split for row in rows):
        return {"train": np.arange(len(rows))}
    _all_given(path, rows, "split", lambda row: row.split)
    home: dict[str, Row] = {}
    members: dict[str, list[int]] = {part: [] for part in PARTS}
    for i, row in enumerate(rows):
        if row.split not in PARTS:
            near = difflib.get_close_matches(row.split.lower(), PARTS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(
                f"{path} line {row.line}: the split {row.split!r} is none of "
                f"{', '.join(PARTS)}{hint}"
            )
        members[row.split].append(i)
        first = home.setdefault(row.group, row) if row.group else row
        if first.split != row.split:
            raise DataError(
                f"{path} line {row.line}: the group {row.group!r} is in {row.split} here and in "
                f"{first.split} on line {first.line}; results on it would look better than they are"
            )
    if not members["train"]:
        raise DataError(f"{path}: no line has the split 'train'")
    return {part: np.array(own) for part, own in members.items() if own}
