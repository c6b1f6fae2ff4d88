"""Lines of split.csv and predictions.csv."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

FIXED = 4  # the columns image, split, group and label, by which both files begin


@dataclasses.dataclass(frozen=True)
class Rows:
    """Lines of split.csv or predictions.csv: NumPy arrays with a row an image.

    ``values`` are the other columns, (n, len(names)): texts, or numbers in predictions.csv.
    """

    image: Any
    split: Any
    group: Any
    label: Any
    names: tuple[str, ...]
    values: Any

    def __len__(self) -> int:
        return len(self.image)

    def where(self, chosen: Any) -> Rows:
        """Those rows that an index array or a mask chooses."""
        image, split, group, label = (
            column[chosen] for column in (self.image, self.split, self.group, self.label)
        )
        return Rows(image, split, group, label, self.names, self.values[chosen])


def with_texts(text: str) -> Rows:
    """The lines of split.csv."""
    head, *lines = list(csv.reader(io.StringIO(text, newline="")))
    if head[:FIXED] != ["image", "split", "group", "label"][: len(head[:FIXED])]:
        raise ValueError("its header does not begin with image,split,group,label")
    if uneven := next((i for i, x in enumerate(lines, 2) if len(x) != len(head)), None):
        raise ValueError(f"line {uneven} has not {len(head)} values")
    cells = np.array(lines, str).reshape(len(lines), len(head))
    image, split, group, label = cells.T[:FIXED]
    return Rows(image, split, group, label, tuple(head[FIXED:]), cells[:, FIXED:])


def with_numbers(text: str) -> Rows:
    """The lines of predictions.csv."""
    found = with_texts(text)
    return dataclasses.replace(found, values=found.values.astype(np.float64))


def joined(parts: Sequence[Rows | None]) -> Rows | None:
    """Several as one; None where any is missing."""
    found = [part for part in parts if part is not None]
    if not found or len(found) < len(parts):
        return None
    columns = ([getattr(part, k) for part in found] for k in ("image", "split", "group", "label"))
    image, split, group, label = map(np.concatenate, columns)
    values = np.concatenate([part.values for part in found])
    return Rows(image, split, group, label, found[0].names, values)
