"""A folder with a subfolder per class, or with train, val and test that hold such subfolders."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.data import Dataset
from tensorgraph.errors import DataError
from tensorgraph_vision import labels as naming
from tensorgraph_vision.files import read
from tensorgraph_vision.formats import Formats
from tensorgraph_vision.sources import idx
from tensorgraph_vision.splits import TEST, UNGROUPED, VAL, split

PART_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
CLUTTER = ("__macosx", "thumbs.db", "desktop.ini")  # what systems leave behind, besides .names


def accepts(path: Path) -> bool:
    known = Formats()
    return path.is_dir() and not idx.accepts(path) and any(map(known.of, _files(path)))


def load(
    path: Path,
    *,
    seed: int = 0,
    val: float = VAL,
    test: float = TEST,
    **options: Any,
) -> Dataset:
    """Subfolders of a class are searched too. Of val and test what has no folder is split off.
    ``options`` are those of ``files.read``."""
    parts, known = _part_folders(path), Formats()
    paths, given, part_of = [], [], []
    skipped: Counter[str] = Counter()
    notes = []
    for part, top in parts.items():
        for folder in _subfolders(top):
            images = []
            for file in _files(folder):
                if known.of(file):
                    images.append(file)
                else:
                    skipped[file.suffix.lower() or file.name] += 1
            if not images:
                notes.append(f"The folder {_name(folder, path)} has no images and is no class.")
            paths += images
            given += [folder.name] * len(images)
            part_of += [part] * len(images)
    if len(set(given)) < 2:
        raise _too_few_classes(path, sorted(set(given)), parts)
    names = [_name(p, path) for p in paths]
    if skipped:
        kinds = ", ".join(sorted(skipped))
        notes.append(f"{sum(skipped.values())} files that are not images were skipped ({kinds}).")
    classes, labels = naming.encode(given, str(path))
    images, files = read(paths, names, **options)
    labels, where = labels[files.of], np.array(part_of)[files.of]
    splits = {part: np.flatnonzero(where == part) for part in parts}
    _check_parts(path, splits, labels, classes)
    lacking = {"val": 0.0 if "val" in parts else val, "test": 0.0 if "test" in parts else test}
    if any(lacking.values()) and files.groups is None:
        notes.append(UNGROUPED)
    rest, groups = splits["train"].tolist(), files.groups
    splits |= split(rest, labels, files.names, classes, seed=seed, groups=groups, **lacking)
    return Dataset(
        path.resolve().name,
        images,
        white=files.white,
        labels=labels,
        classes=classes,
        splits=splits,
        groups=groups,
        columns=files.columns,
        names=files.names,
        notes=(*notes, *files.notes),
    )


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in CLUTTER


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _hidden(p.name))


def _files(folder: Path) -> Iterator[Path]:
    """All files below, in the order of their names, without the hidden ones."""
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (Path(top, name) for name in sorted(files) if not _hidden(name))


def _part_folders(path: Path) -> dict[str, Path]:
    """The folders of train, val and test; without them the whole folder is "train"."""
    own = {PART_NAMES[f.name.lower()]: f for f in _subfolders(path) if f.name.lower() in PART_NAMES}
    if "train" not in own or len(own) < 2 or not _subfolders(own["train"]):
        return {"train": path}
    other = [f.name for f in _subfolders(path) if f.name.lower() not in PART_NAMES]
    if other:
        raise DataError(
            f"{path} has the parts {', '.join(own)} and beside them {other[0]!r}: move that away, "
            "or rename the parts if they are classes"
        )
    return own


def _too_few_classes(path: Path, classes: list[str], parts: dict[str, Path]) -> DataError:
    wanted = "images belong into a subfolder per class"
    manifest = next((p for p in sorted(path.glob("*.?sv"))), None)
    if manifest is not None:
        wanted += f", or, if {manifest.name} lists them, give its path as the data"
    if classes:
        return DataError(f"{path} has one class only, {classes[0]!r}; {wanted}")
    known = Formats()
    if any(known.of(p) for p in path.iterdir() if p.is_file()):
        return DataError(f"{path} has images and no subfolders; {wanted}")
    kinds = Counter(p.suffix.lower() or p.name for top in parts.values() for p in _files(top))
    held = ", ".join(sorted(kinds)) or "nothing"
    return DataError(f"{path} has no images ({known.kinds}), but {held}; {wanted}")


def _check_parts(path: Path, splits: dict[str, Any], labels: Any, classes: tuple[str, ...]) -> None:
    known = [classes[i] for i in sorted(set(labels[splits["train"]].tolist()))]
    for part, own in splits.items():
        for i in sorted(set(labels[own].tolist())):
            if classes[i] not in known:
                near = difflib.get_close_matches(classes[i], known, n=1)
                raise DataError(
                    f"{path}: {part} has the class {classes[i]!r}, which train has not; train has "
                    f"{', '.join(known)}" + (f"; is it {near[0]!r}?" if near else "")
                )
