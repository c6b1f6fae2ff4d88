"""The walk "audit": what every check found, as audit.json holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_audit import duplicates, metadata
from tensorgraph_audit.prints import Prints, prints

SHOWN = 20  # pairs of images that are named
MANY = 0.02  # of a part's images with a near duplicate: of MNIST's, where there are none, 0.01 have
TELLS, BETRAYS = 0.65, 0.9  # lower ends of the interval of an AUC: a warning, an error
FEWEST = 50  # images of whose metadata anything can be said

Finding = dict[str, Any]


def audit(dataset: tg.Dataset, *, seed: int = 0) -> list[Finding]:
    """Duplicates and patients across the parts, and metadata that tells the labels."""
    found = prints(dataset)
    splits = {part: np.asarray(own, np.int64) for part, own in dataset.splits.items()}
    return [
        exact_duplicates(dataset, splits, found),
        near_duplicates(dataset, splits, found),
        patients(dataset, splits),
        *label_revealing(dataset, found, seed),
    ]


def finding(
    check: str, level: str, text: str, images: Sequence[list[str]] = (), **figures: Any
) -> Finding:
    shown = list(images[:SHOWN])
    return {"check": check, "level": level, "text": text, "images": shown, "figures": figures}


def exact_duplicates(dataset: tg.Dataset, splits: dict[str, Any], prints: Prints) -> Finding:
    check = "exact duplicates"
    found = _across(splits, lambda *parts: duplicates.exact(prints, *parts))
    copies = {
        part: len(own) - len(np.unique(prints.digests[own]))
        for part, own in splits.items()
        if len(own)
    }
    inside = ", ".join(f"{n:,} in {part}" for part, n in copies.items() if n)
    more = f" Within the parts there are repeated images: {inside}." if inside else ""
    if not found:
        text = f"No image of one part is, pixel for pixel, in another.{more}"
        return finding(check, "fine", text, copies=copies)
    pairs = np.concatenate(list(found.values()))
    others = int((_labels(dataset, pairs[:, 0]) != _labels(dataset, pairs[:, 1])).any(1).sum())
    contrary = f", {others:,} of them with another label" if others else ""
    told = _told(found, splits, "are, pixel for pixel, in")
    text = f"{told}{contrary}: what is tested was learnt.{more}"
    counts = {f"{b} in {a}": len(own) for (a, b), own in found.items()}
    return finding(check, "error", text, _names(dataset, pairs), copies=copies, **counts)


def near_duplicates(dataset: tg.Dataset, splits: dict[str, Any], prints: Prints) -> Finding:
    check, inside = "near duplicates", ""
    every = np.concatenate(list(splits.values()))
    figures: dict[str, Any] = {"threshold": duplicates.NEAR}
    if dataset.groups is not None:
        alike = duplicates.within_groups(prints, np.asarray(dataset.groups), every)
        figures["within a group"] = alike
        if alike:
            inside = (
                f" {alike:,} of {len(every):,} images are nearly equal to another of the same "
                "group: a split by image, not by group, would have put many of them into both "
                "train and test."
            )

    def others(first: Any, second: Any) -> Any:
        pairs = duplicates.near(prints, first, second)
        return pairs[prints.digests[pairs[:, 0]] != prints.digests[pairs[:, 1]]]

    found = _across(splits, others)
    if not found:
        text = f"No other image of one part is nearly equal to one of another.{inside}"
        return finding(check, "fine", text, **figures)
    figures |= {f"{b} in {a}": len(own) for (a, b), own in found.items()}
    worst = max(len(own) / len(splits[b]) for (_, b), own in found.items())
    told = _told(found, splits, "are nearly equal to images of")
    text = f"{told}: look at these pairs.{inside}"
    pairs = np.concatenate(list(found.values()))
    level = "error" if worst >= MANY else "warning"
    return finding(check, level, text, _names(dataset, pairs), **figures)


def patients(dataset: tg.Dataset, splits: dict[str, Any]) -> Finding:
    check = "patients across splits"
    if dataset.groups is None:
        return finding(
            check,
            "not run",
            "Nothing says which images are of the same patient; name a column or a pattern: "
            "data.group.",
        )
    groups = np.asarray(dataset.groups)
    shared = {
        f"{a} and {b}": np.intersect1d(groups[splits[a]], groups[splits[b]])
        for a, b in duplicates.across(splits)
    }
    found = {where: own for where, own in shared.items() if len(own)}
    count = len(np.unique(groups))
    if not found:
        return finding(check, "fine", f"Each of the {count:,} groups is in one part.", groups=count)
    told = "; ".join(f"{len(own):,} are in both {where}" for where, own in found.items())
    text = f"Of {count:,} groups {told}: results on them will look better than they are."
    counts = {where: len(own) for where, own in found.items()}
    names = [[str(key), where] for where, own in found.items() for key in own[:SHOWN]]
    return finding(check, "error", text, names, groups=count, **counts)


def label_revealing(dataset: tg.Dataset, prints: Prints, seed: int) -> list[Finding]:
    """A finding for each column, and for the border of the images."""
    check = "labels from metadata"
    n = sum(len(own) for own in dataset.splits.values())
    if n < FEWEST:
        text = f"{n} images are too few to say what gives their labels away."
        return [finding(check, "not run", text)]
    try:
        import sklearn  # noqa: F401  asked for here, so that the audit says what it lacks
    except ImportError:
        text = "Needs scikit-learn: pip install 'tensorgraph[study]'."
        return [finding(check, "not run", text)]
    groups = np.arange(len(dataset.labels)) if dataset.groups is None else dataset.groups
    units = np.unique(groups, return_inverse=True)[1]
    chosen = metadata.sample(dataset, units, seed)
    positive, units = metadata.positives(dataset, chosen), units[chosen]
    folds = metadata.folds(positive, units, seed)
    if not folds:
        return [finding(check, "not run", "A class has too few groups to cross-validate by them.")]
    return [
        _revealing(name, metadata.told(x[chosen], positive, units, folds, seed), len(chosen))
        for name, x in metadata.features(dataset, prints.border).items()
    ]


def _revealing(name: str, told: metadata.Told, n: int) -> Finding:
    check = f"labels from {name}"
    figure = f"AUC {told.auc:.2f} ({told.low:.2f} to {told.high:.2f}; chance is 0.50)"
    figures: dict[str, Any] = {**told._asdict(), "chance": 0.5, "n": n}
    if told.low < TELLS:
        can = "can hardly" if told.low > 0.5 else "cannot"
        text = f"The label {can} be told from {name} alone: {figure}."
        return finding(check, "fine", text, **figures)
    text = (
        f"The label can be told from {name} alone: {figure}. A model may learn that in place of "
        "what the images are meant to show; where other images lack it, it will fail."
    )
    return finding(check, "error" if told.low >= BETRAYS else "warning", text, **figures)


def _across(splits: dict[str, Any], pairs: Callable[[Any, Any], Any]) -> dict[tuple[str, str], Any]:
    """The pairs of images between each two parts that have any."""
    found = {(a, b): pairs(splits[a], splits[b]) for a, b in duplicates.across(splits)}
    return {parts: own for parts, own in found.items() if len(own)}


def _told(found: dict[tuple[str, str], Any], splits: dict[str, Any], verb: str) -> str:
    return "; ".join(
        f"{len(pairs):,} of {len(splits[b]):,} images of {b} {verb} {a}"
        for (a, b), pairs in found.items()
    )


def _labels(dataset: tg.Dataset, indices: Any) -> Any:
    return dataset.labels[indices].reshape(len(indices), -1)


def _names(dataset: tg.Dataset, pairs: Any) -> list[list[str]]:
    names = dataset.names if len(dataset.names) else [str(i) for i in range(len(dataset.labels))]
    return [[names[i], names[j]] for i, j in pairs[:SHOWN]]
