"""Which images belong to which subgroup: the values of a column, or bands of a number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

FEW = 12  # values that a column of texts may have; one with more, such as a name, has no subgroups
AGES = (18, 40, 65)
UNKNOWN = "not known"


def members(column: str, values: Any) -> Iterator[tuple[str, Any]]:
    """(name, which images) of each subgroup; nothing where they would all be in one."""
    values = np.asarray(values)
    if values.dtype.kind in "fiub":
        known = ~np.isnan(values.astype(np.float64))
        found = list(_bands(column, values.astype(np.float64), known))
    else:
        known = values != ""
        found = [(str(v), values == v) for v in np.unique(values[known])]
    if not 2 <= len(found) + (not known.all()) <= FEW:
        return
    yield from found
    if not known.all():
        yield UNKNOWN, ~known


def _bands(column: str, values: Any, known: Any) -> Iterator[tuple[str, Any]]:
    """Few different numbers each for itself; ages at 18, 40 and 65; other numbers in thirds."""
    own = np.unique(values[known])
    if len(own) <= 5:
        for value in own:
            yield f"{value:g}", values == value
        return
    edges = list(AGES) if "age" in column.lower().split("_") else np.quantile(own, [1 / 3, 2 / 3])
    for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
        inside = known & (values >= low) & (values < high)
        if inside.any():
            yield _name(low, high), inside


def _name(low: float, high: float) -> str:
    if low == -np.inf:
        return f"below {high:g}"
    return f"{low:g} and over" if high == np.inf else f"{low:g} to below {high:g}"
