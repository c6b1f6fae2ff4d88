"""Splits into train, val and test, by class and by group.

A hash of the seed and each name decides, not a generator: the split is the same on every platform
and in every version of NumPy, and an image that is added later moves few others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorgraph.errors import ConfigError, DataError

PARTS = ("train", "val", "test")
VAL, TEST = 0.1, 0.2  # where nobody says otherwise
ATTEMPTS = 50
UNGROUPED = (
    "Nothing says which images are of the same patient: if some are, they may be both in train and "
    "in test, and results will look better than they are. A CSV manifest with a column 'patient' "
    "keeps them together."
)


def split(
    indices: Sequence[int],
    labels: Any,
    names: Sequence[str],
    classes: Sequence[str],
    *,
    seed: int,
    val: float,
    test: float,
    groups: Any = None,
) -> dict[str, Any]:
    """Share ``indices`` out to "train", "val" and "test", each class in the same proportions.

    ``labels``, ``names`` and ``groups`` are those of the whole dataset. With groups none is torn
    apart, and the proportions are as near as that allows. A part of fraction 0 is left out.
    """
    shares = _shares(val, test)
    if len(shares) == 1:
        return {"train": np.array(sorted(indices), np.int64)}
    members: dict[int, list[int]] = defaultdict(list)
    for i in indices:
        members[int(labels[i])].append(i)
    if groups is None:
        parts = _by_class(members, names, classes, seed, shares)
    else:
        parts = _by_group(members, groups, classes, seed, shares)
    return {part: np.array(sorted(chosen), np.int64) for part, chosen in parts.items()}


def _shares(val: float, test: float) -> dict[str, float]:
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise ConfigError(
            f"the fractions val={val} and test={test} must be at least 0 and leave some for train"
        )
    shares = {"train": 1.0 - val - test, "val": val, "test": test}
    return {part: share for part, share in shares.items() if share}


def _rank(seed: int, key: str) -> bytes:
    """Where a key stands in the order of a seed."""
    return hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=16).digest()


def _by_class(
    members: dict[int, list[int]],
    names: Sequence[str],
    classes: Sequence[str],
    seed: int,
    shares: dict[str, float],
) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {part: [] for part in shares}
    for label, own in sorted(members.items()):
        if len(own) < len(shares):
            raise _too_few(f"{_count(len(own), 'image')}", classes[label], shares)
        own = sorted(own, key=lambda i: (_rank(seed, names[i]), names[i]))
        total, held = len(own), [part for part in ("test", "val") if part in shares]
        for left, part in zip(range(len(held), 0, -1), held):
            n = max(1, int(total * shares[part] + 0.5))
            n = min(n, len(own) - left)  # one for each part that is still to come
            parts[part] += own[:n]
            own = own[n:]
        parts["train"] += own
    return parts


def _by_group(
    members: dict[int, list[int]],
    groups: Any,
    classes: Sequence[str],
    seed: int,
    shares: dict[str, float],
) -> dict[str, list[int]]:
    """Hand out group by group to the part that is furthest from its share of the group's classes.

    The largest groups go first; if that leaves a part without one of the classes, other orders
    are tried.
    """
    images: dict[str, list[int]] = defaultdict(list)
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for label, own in members.items():
        for i in own:
            images[str(groups[i])].append(i)
            counts[str(groups[i])][label] += 1
    for label in sorted(members):
        having = sum(label in c for c in counts.values())
        if having < len(shares):
            raise _too_few(f"images of {_count(having, 'group')}", classes[label], shares)
    totals = {label: len(own) for label, own in members.items()}
    for attempt in range(ATTEMPTS):
        salt = seed + (attempt << 64)
        order = sorted(counts, key=lambda key: (_rank(salt, key), key))
        if attempt == 0:
            order.sort(key=lambda key: -len(images[key]))
        chosen = _deal(order, counts, totals, shares)
        if chosen is not None:
            return {part: [i for key in own for i in images[key]] for part, own in chosen.items()}
    raise DataError(
        f"no way was found to share {_count(len(counts), 'group')} out to {', '.join(shares)} so "
        "that every part has every class; do without one (--set data.val=0 or "
        "--set data.test=0), or add a column 'split'"
    )


def _deal(
    order: Sequence[str],
    counts: dict[str, Counter[int]],
    totals: dict[int, int],
    shares: dict[str, float],
) -> dict[str, list[str]] | None:
    """The groups of each part, or None where a part is left without a class."""
    parts: dict[str, list[str]] = {part: [] for part in shares}
    have: dict[str, Counter[int]] = {part: Counter() for part in shares}
    to_come = Counter(label for own in counts.values() for label in own)

    def cost(part: str, own: Counter[int]) -> float:
        """How much further from its shares the part would be with these images."""
        change = 0.0
        for label, n in own.items():
            over = have[part][label] - shares[part] * totals[label]
            change += ((over + n) ** 2 - over**2) / totals[label] ** 2
        return change

    for key in order:
        candidates = list(shares)
        for label in counts[key]:
            lacking = [part for part in candidates if not have[part][label]]
            if lacking and to_come[label] <= sum(not have[part][label] for part in shares):
                candidates = lacking  # the last ones of this class, and these parts need them
            to_come[label] -= 1
        best = min(candidates, key=lambda part: cost(part, counts[key]))
        parts[best].append(key)
        have[best].update(counts[key])
    complete = all(have[part][label] for part in shares for label in totals)
    return parts if complete else None


def _too_few(what: str, name: str, shares: dict[str, float]) -> DataError:
    return DataError(
        f"class {name!r} has {what}, too few to have one in each of {', '.join(shares)}; "
        "add images, or do without a part: --set data.val=0 or --set data.test=0"
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("s" if n != 1 else "")
