"""Images that are in two parts: equal pixel for pixel, or all but equal.

A near duplicate is told by two thumbnails, made of the means of blocks and freed of brightness and
contrast: pairs whose small ones (8x8) correlate by ``LIKELY`` are compared by the larger ones
(32x32), which must correlate by ``NEAR``. docs/medical.md has the figures of this choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorgraph_audit.prints import Prints

LIKELY, NEAR = 0.97, 0.98
CHUNK = 512  # images compared with all others at a time
PAIRS = (("train", "val"), ("train", "test"), ("val", "test"))

Pairs = Any  # (n, 2) indices of images


def across(splits: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for first, second in PAIRS:
        if len(splits.get(first, ())) and len(splits.get(second, ())):
            yield first, second


def exact(prints: Prints, first: Any, second: Any) -> Pairs:
    """For each image of ``second`` that is in ``first`` too, one that is the same."""
    order = first[np.argsort(prints.digests[first], kind="stable")]
    ordered = prints.digests[order]
    at = np.minimum(np.searchsorted(ordered, prints.digests[second]), len(order) - 1)
    same = ordered[at] == prints.digests[second]
    return np.stack([order[at[same]], second[same]], 1)


def near(prints: Prints, first: Any, second: Any) -> Pairs:
    """For each image of ``second`` that one of ``first`` is like, the one that is most like it."""
    found = []
    held = prints.coarse[first]
    for start in range(0, len(second), CHUNK):
        own = second[start : start + CHUNK]
        j, i = np.nonzero(prints.coarse[own] @ held.T >= LIKELY)
        like = correlation(prints, first[i], own[j])
        order = np.lexsort((-like, j))
        order = order[like[order] >= NEAR]
        best = order[np.unique(j[order], return_index=True)[1]]
        found.append(np.stack([first[i[best]], own[j[best]]], 1))
    return np.concatenate(found)


def correlation(prints: Prints, first: Any, second: Any) -> Any:
    """Of the larger thumbnails of each pair."""
    out = np.empty(len(first), np.float32)
    for start in range(0, len(first), 1 << 14):
        part = slice(start, start + (1 << 14))
        x, y = (prints.fine[own[part]].astype(np.float32) for own in (first, second))
        out[part] = np.einsum("ij,ij->i", x, y)
    return out


def within_groups(prints: Prints, groups: Any, indices: Any) -> int:
    """How many of these images are all but equal to another of the same group."""
    order = indices[np.argsort(groups[indices], kind="stable")]
    _, starts = np.unique(groups[order], return_index=True)
    count = 0
    for own in np.split(order, starts[1:]):
        if len(own) > 1:
            fine = prints.fine[own[:CHUNK]].astype(np.float32)
            like = fine @ fine.T
            np.fill_diagonal(like, 0.0)
            count += int((like.max(1) >= NEAR).sum())
    return count
