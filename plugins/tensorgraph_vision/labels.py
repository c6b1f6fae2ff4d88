"""From what a table says of each image to labels: classes, several of them, or numbers."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorgraph.errors import ConfigError, DataError

INTEGER = re.compile(r"-?\d+")
TASKS = ("classification", "multilabel", "regression")


def encode(
    given: Sequence[str], where: str, task: str | None = None
) -> tuple[tuple[str, ...], Any]:
    """The classes, in the order of their names or numbers, and the labels as of a ``Dataset``.

    Unless ``task`` says it: labels with a | between names are several, and all numbers, some of
    them fractions, are measured.
    """
    found = [unicodedata.normalize("NFC", name) for name in given]
    if task not in (None, *TASKS):
        raise ConfigError(f"task is {', '.join(TASKS)}, or left out, not {task!r}")
    if task is None:
        numbers = [_number(name) for name in found]
        measured = None not in numbers and not all(map(INTEGER.fullmatch, found))
        several = any("|" in name for name in found)
        task = TASKS[1] if several else TASKS[2] if measured else TASKS[0]
    if task == "regression":
        return ("label",), _measured(found, where)
    sets = [{n.strip() for n in name.split("|")} - {"", "-"} for name in found]
    if task == "classification":
        sets = [{name} for name in found]
    distinct = set().union(*sets)
    if len(distinct) < (2 if task == "classification" else 1):
        raise DataError(
            f"{where} has one class only: {next(iter(distinct), 'none')!r}; "
            "there is nothing to tell apart"
        )
    if all(INTEGER.fullmatch(name) for name in distinct):
        classes = tuple(sorted(distinct, key=lambda name: (int(name), name)))
    else:
        classes = tuple(sorted(distinct))
    if task == "classification":
        place = {name: i for i, name in enumerate(classes)}
        return classes, np.array([place[name] for name in found], np.int64)
    return classes, np.array([[name in own for name in classes] for own in sets], np.uint8)


def _number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _measured(found: Sequence[str], where: str) -> Any:
    for name in found:
        if _number(name) is None:
            raise DataError(f"{where}: the label {name!r} is no number, and task is regression")
    values = np.array(found, np.float64)
    if (values == values[0]).all():
        raise DataError(f"{where}: every label is {found[0]}; there is nothing to tell apart")
    return values
