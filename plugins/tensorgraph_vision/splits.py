"""Splits into train, val and test, and into folds, by label and by group.

A hash of the seed and each name decides, not a generator: the split is the same on every platform
and in every version of NumPy, and an image that is added later moves few others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.errors import ConfigError, DataError

PARTS = ("train", "val", "test")
VAL, TEST = 0.1, 0.2  # where nobody says otherwise
ATTEMPTS, ENOUGH = 50, 8  # orders in which groups are handed out; so many that succeed are compared
MANY = 5000  # groups, of which one success is enough
BINS, BIN = 10, 20  # of measured numbers: at most so many quantiles, of at least so many images
UNGROUPED = (
    "Nothing says which images are of the same patient: if some are, they may be both in train and "
    "in test, and results will look better than they are. A CSV manifest with a column 'patient' "
    "keeps them together."
)


class Strata(NamedTuple):
    """What is to be in the same proportions everywhere: the strata of each image, and the classes
    that no part may lack."""

    of: Mapping[int, tuple[int, ...]]
    required: Mapping[int, str]


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

    ``labels``, ``names`` and ``groups`` are those of the whole dataset. Of measured numbers it is
    their quantiles that are kept in proportion. With groups none is torn apart, and the proportions
    are as near as that allows. A part of fraction 0 is left out.
    """
    shares = _shares(val, test)
    if len(shares) == 1:
        return {"train": np.array(sorted(indices), np.int64)}
    strata = _strata(indices, labels, classes)
    way_out = "do without a part: --set data.val=0 or --set data.test=0"
    if groups is None and labels.ndim == 1:
        parts = _by_stratum(strata, names, seed, shares, way_out)
    else:
        keys = names if groups is None else groups
        parts = _by_group(strata, keys, seed, shares, way_out)
    return {part: np.array(sorted(chosen), np.int64) for part, chosen in parts.items()}


def fold(
    indices: Sequence[int],
    labels: Any,
    names: Sequence[str],
    classes: Sequence[str],
    *,
    seed: int,
    folds: int,
    number: int,
    val: float,
    groups: Any = None,
) -> dict[str, Any]:
    """As ``split``, the test part being the fold of that number, from 1, of ``folds`` equal ones:
    each image is in the test part of one of them."""
    shares = {f"fold {k}": 1 / folds for k in range(1, folds + 1)}
    strata = _strata(indices, labels, classes)
    way_out = "take fewer folds"
    if groups is None and labels.ndim == 1:
        _check_enough(strata, Counter(own[0] for own in strata.of.values()), shares, way_out)
        order = sorted(indices, key=lambda i: (strata.of[i][0], _rank(seed, names[i]), names[i]))
        test = order[number - 1 :: folds]
    else:
        keys = names if groups is None else groups
        test = _by_group(strata, keys, seed, shares, way_out)[f"fold {number}"]
    rest = sorted({*indices} - {*test})
    val *= folds / (folds - 1)  # the same share of all as without folds
    parts = split(rest, labels, names, classes, seed=seed, val=val, test=0.0, groups=groups)
    return {**parts, "test": np.array(sorted(test), np.int64)}


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


def _strata(indices: Sequence[int], labels: Any, classes: Sequence[str]) -> Strata:
    """By class; by every class that an image shows, and its being an image; or by quantile."""
    own = labels[np.asarray(indices, np.int64)]
    if own.ndim == 2:
        found = [(*np.flatnonzero(row).tolist(), len(classes)) for row in own]
        present = np.flatnonzero(own.any(0)).tolist()
    elif own.dtype.kind == "f":
        bins = max(1, min(BINS, len(own) // BIN))
        edges = np.quantile(own, np.arange(1, bins) / bins) if len(own) else []
        found, present = [(n,) for n in np.searchsorted(edges, own).tolist()], []
    else:
        found, present = [(n,) for n in own.tolist()], np.unique(own).tolist()
    return Strata(dict(zip(indices, found)), {label: classes[label] for label in present})


def _by_stratum(
    strata: Strata, names: Sequence[str], seed: int, shares: dict[str, float], way_out: str
) -> dict[str, list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for i, (stratum,) in strata.of.items():
        members[stratum].append(i)
    _check_enough(strata, {k: len(own) for k, own in members.items()}, shares, way_out)
    parts: dict[str, list[int]] = {part: [] for part in shares}
    for _, own in sorted(members.items()):
        own = sorted(own, key=lambda i: (_rank(seed, names[i]), names[i]))
        total, held = len(own), [part for part in ("test", "val") if part in shares]
        for left, part in zip(range(len(held), 0, -1), held):
            n = max(1, int(total * shares[part] + 0.5))
            n = max(0, min(n, len(own) - left))  # one for each part that is still to come
            parts[part] += own[:n]
            own = own[n:]
        parts["train"] += own
    return parts


def _by_group(
    strata: Strata, groups: Any, seed: int, shares: dict[str, float], way_out: str
) -> dict[str, list[int]]:
    """Hand out group by group to the part that is furthest from its share of the group's strata.

    Several orders are tried, first the rarest strata or the largest groups at the start, and the
    one is kept that ends nearest to the shares.
    """
    images: dict[str, list[int]] = defaultdict(list)
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for i, own in strata.of.items():
        images[str(groups[i])].append(i)
        counts[str(groups[i])].update(own)
    having = Counter(label for own in counts.values() for label in own)
    _check_enough(strata, having, shares, way_out, "group")
    totals = Counter(label for own in strata.of.values() for label in own)
    found: list[tuple[float, dict[str, list[str]]]] = []
    for attempt in range(ATTEMPTS):
        salt = seed + (attempt << 64)
        order = sorted(counts, key=lambda key: (_rank(salt, key), key))
        if attempt < ENOUGH - 1:
            order.sort(key=lambda key: -len(images[key]))
        if attempt == 0:
            order.sort(key=lambda key: min(totals[k] for k in counts[key]))
        chosen = _deal(order, counts, totals, shares, strata.required)
        if chosen is not None:
            found.append(chosen)
        if len(found) == ENOUGH or (found and len(order) > MANY):
            break
    if found:
        best = min(found, key=lambda one: one[0])[1]
        return {part: [i for key in own for i in images[key]] for part, own in best.items()}
    raise DataError(
        f"no way was found to share {_count(len(counts), 'group')} out to {', '.join(shares)} so "
        f"that every part has every class; {way_out}"
    )


def _deal(
    order: Sequence[str],
    counts: dict[str, Counter[int]],
    totals: Mapping[int, int],
    shares: dict[str, float],
    required: Mapping[int, str],
) -> tuple[float, dict[str, list[str]]] | None:
    """How far the parts are from their shares, and the groups of each; None where a part is left
    empty or without a class."""
    parts: dict[str, list[str]] = {part: [] for part in shares}
    have: dict[str, Counter[int]] = {part: Counter() for part in shares}
    to_come = Counter(label for own in counts.values() for label in own)
    dealt: Counter[int] = Counter()

    def cost(part: str, own: Counter[int]) -> float:
        """How much further the part would be from its shares of what is dealt by then."""
        change = 0.0
        for label, n in own.items():
            over = have[part][label] - shares[part] * dealt[label]
            change += ((over + n) ** 2 - over**2) / totals[label] ** 2
        return change

    for key in order:
        dealt.update(counts[key])
        candidates = list(shares)
        for label in counts[key]:
            lacking = [part for part in candidates if not have[part][label]]
            if lacking and to_come[label] <= sum(not have[part][label] for part in shares):
                candidates = lacking  # the last ones of this class, and these parts need them
            to_come[label] -= 1
        best = min(candidates, key=lambda part: cost(part, counts[key]))
        parts[best].append(key)
        have[best].update(counts[key])
    if not (all(parts.values()) and all(have[part][k] for part in shares for k in required)):
        return None
    away = sum(
        (have[part][k] / total - share) ** 2
        for part, share in shares.items()
        for k, total in totals.items()
    )
    return away, parts


def _check_enough(
    strata: Strata,
    having: Mapping[int, int],
    shares: Mapping[str, float],
    way_out: str,
    noun: str = "image",
) -> None:
    """At least one of each class for each part; of measured numbers one image for each."""
    needed: dict[int | None, str] = {k: f"class {name!r}" for k, name in strata.required.items()}
    counted: dict[int | None, int] = {k: having[k] for k in strata.required}
    if not needed:
        needed, counted = {None: "the dataset"}, {None: sum(having.values())}
    for key, what in sorted(needed.items(), key=str):
        if counted[key] < len(shares):
            what += " has images of " if noun == "group" else " has "
            parts = ", ".join(shares) if len(shares) < 4 else f"{len(shares)} folds"
            raise DataError(
                f"{what}{_count(counted[key], noun)}, too few to have one in each of {parts}; "
                f"add images, or {way_out}"
            )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("s" if n != 1 else "")
