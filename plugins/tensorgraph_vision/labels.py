"""From the names of classes to integer labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorgraph.errors import DataError

INTEGER = re.compile(r"-?\d+")


def encode(given: Sequence[str], where: str) -> tuple[tuple[str, ...], Any]:
    """The classes, in the order of their names or numbers, and each image's index among them."""
    found = [unicodedata.normalize("NFC", name) for name in given]
    distinct = set(found)
    if len(distinct) < 2:
        raise DataError(
            f"{where} has one class only: {next(iter(distinct), 'none')!r}; "
            "there is nothing to tell apart"
        )
    if all(INTEGER.fullmatch(name) for name in distinct):
        classes = tuple(sorted(distinct, key=lambda name: (int(name), name)))
    else:
        classes = tuple(sorted(distinct))
    place = {name: i for i, name in enumerate(classes)}
    return classes, np.array([place[name] for name in found], np.int64)
