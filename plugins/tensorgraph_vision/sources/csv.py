"""A manifest: a table with the columns path, label and optionally split and patient (or group)."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.data import Dataset
from tensorgraph.errors import DataError
from tensorgraph_vision import labels as naming
from tensorgraph_vision.files import MEMORY, SUFFIXES, is_image, read
from tensorgraph_vision.splits import PARTS, TEST, UNGROUPED, VAL, split

COLUMNS = ("path", "label", "split", "group")
GROUPS = ("group", "patient", "patient_id", "subject", "subject_id")  # each says the same


class Row(NamedTuple):
    line: int
    path: str
    label: str
    split: str
    group: str


def accepts(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv")


def load(
    path: Path,
    *,
    seed: int = 0,
    val: float = VAL,
    test: float = TEST,
    resize: Any = None,
    channels: Any = None,
    memory: int = MEMORY,
) -> Dataset:
    """Paths are relative to the manifest; of val and test what no row names is split off train."""
    rows = _rows(path)
    paths = [path.parent / row.path for row in rows]
    _check_paths(path, rows, paths)
    names = [row.path for row in rows]
    classes, labels = naming.encode([row.label for row in rows], str(path))
    groups = None
    if any(row.group for row in rows):
        _all_given(path, rows, "group", lambda row: row.group)
        groups = np.array([row.group for row in rows])
    splits = _official(path, rows)
    lacking = {"val": 0.0 if "val" in splits else val, "test": 0.0 if "test" in splits else test}
    rest = splits["train"].tolist()
    splits |= split(rest, labels, names, classes, seed=seed, groups=groups, **lacking)
    images, white, notes = read(paths, names, memory=memory, resize=resize, channels=channels)
    if groups is None and any(lacking.values()):
        notes = [UNGROUPED, *notes]
    return Dataset(
        path.stem,
        images,
        white=white,
        labels=labels,
        classes=classes,
        splits=splits,
        groups=groups,
        names=names,
        notes=tuple(notes),
    )


def _rows(path: Path) -> list[Row]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in UTF-8: {error}; save it as UTF-8 (Excel calls that 'CSV UTF-8')"
        ) from None
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [name.strip().lower() for name in next(reader, [])]
    for name in ("path", "label"):
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            raise DataError(
                f"{path} line 1: no column {name!r}"
                + (f"; is it {near[0]!r}?" if near else "")
                + f"; the columns are: {', '.join(columns) or 'none'}"
            )
    place = {name: columns.index(name) for name in COLUMNS if name in columns}
    together = [name for name in GROUPS if name in columns]
    if len(together) > 1:
        raise DataError(
            f"{path} line 1: the columns {' and '.join(together)} both say which images belong "
            "together; leave one"
        )
    if together:
        place["group"] = columns.index(together[0])
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            raise DataError(
                f"{path} line {reader.line_num}: the number of cells is {len(cells)}, and "
                f"line 1 has {len(columns)}; put text with a {delimiter!r} in it between quotes"
            )
        found = {name: cells[at].strip() for name, at in place.items()}
        for name in ("path", "label"):
            if not found[name]:
                raise DataError(f"{path} line {reader.line_num}: the {name} is empty")
        rows.append(Row(reader.line_num, *(found.get(name, "") for name in COLUMNS)))
    if not rows:
        raise DataError(f"{path} names no images: there is nothing below its first line")
    return rows


def _check_paths(manifest: Path, rows: list[Row], paths: list[Path]) -> None:
    seen: dict[Path, int] = {}
    for row, path in zip(rows, paths, strict=True):
        at = f"{manifest} line {row.line}"
        if not path.is_file():
            absent = sum(not p.is_file() for p in paths) - 1
            more = f", and {absent} more are missing" if absent else ""
            raise DataError(
                f"{at}: there is no file {row.path!r} in {manifest.parent.resolve()}{more}"
            )
        if not is_image(path):
            raise DataError(f"{at}: {row.path} is none of {', '.join(SUFFIXES)}")
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
