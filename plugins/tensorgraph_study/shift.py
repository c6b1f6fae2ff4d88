"""The shift probe: what is left of a model's figures under simulated scanner changes and with parts
of the images hidden, by site, and how well the site can be told from the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_study.changes import CORNERS, Change, changes, hidden

SITES = ("site", "hospital", "cent", "clinic", "scanner", "device", "manufacturer", "station")
FEW = 12  # values that a column may have and still be a site
FOLDS = 5
FEWEST = 10  # images of a site, for it to be asked about
LOSS = 0.05  # of AUC by hiding a corner: more than a corner should matter
RECOGNISED = 0.6  # the lower end of the interval from which on a site counts as recognised
MAYBE = {
    **dict.fromkeys(CORNERS, "A marker or a label there may give the class away."),
    "border": "It may show what the images are about; a frame or a label there may also give the "
    "class away.",
}
Row = dict[str, Any]


class Changed:
    """A dataset's images, changed when they are asked for: those of a probe are never all held."""

    def __init__(self, dataset: tg.Dataset, change: Change, dark: float, bright: float) -> None:
        self.images, self.change = dataset.images, change
        self.dark, self.span = dark, bright - dark or 1.0
        self.top = (
            dataset.white if np.asarray(dataset.images[np.arange(1)]).dtype.kind in "ui" else np.inf
        )
        self.shape = dataset.images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Any) -> Any:
        raw = np.asarray(self.images[indices], np.float64)
        x = self.change.apply((raw - self.dark) / self.span, np.asarray(indices))
        x = x * self.span + self.dark
        return np.clip(x, 0, self.top).astype(np.float32) if self.top < np.inf else x.astype("f4")


def probe(run: Any, indices: Any, split: str, by: str | None) -> Row:
    """All of it, as shift.json holds it. ``run`` is a trained model with its images, as the walk
    "trained" gives it."""
    data = run.feed.dataset
    sites = _sites(data, by)
    before = run.probabilities(indices)
    asked = _Asked(run, indices, before, sites)
    same = asked.compared(before)[0]
    if same["low"] is None:
        raise ConfigError(
            f"shift: {same['metric']} is not defined on the {len(indices)} images of {split}: it "
            "takes two of each class at least; choose others with --split"
        )
    dark, bright = _range(data, indices)
    rows, parts = (
        [asked.about(Changed(data, change, dark, bright), change) for change in kind]
        for kind in (changes(), hidden())
    )
    found = {
        "split": split,
        "n": len(indices),
        "metric": same["metric"],
        "unchanged": {
            "value": same["first"],
            "at_threshold": asked.at_threshold(before),
            "by": asked.by(before),
        },
        "changes": rows,
        "hidden": parts,
        "sites": [_told(run, indices, name, values[indices]) for name, values in sites.items()],
    }
    found["findings"] = [*_findings(found)]
    return found


class _Asked:
    """A model and images that it has been asked about once; asked again about changed ones."""

    def __init__(self, run: Any, indices: Any, before: Any, sites: Mapping[str, Any]) -> None:
        data = run.feed.dataset
        self.run, self.indices, self.before = run, indices, before
        self.labels, self.task = data.labels[indices], data.task
        self.groups = None if data.groups is None else data.groups[indices]
        self.sites = {name: values[indices] for name, values in sites.items()}

    def compared(self, after: Any) -> list[Row]:
        found: list[Row] = tg.plugins.walk(
            "paired", self.before, after, self.labels, self.task, self.groups
        )
        return found

    def about(self, images: Changed, change: Change) -> Row:
        after = self.run.on(images).probabilities(self.indices)
        row = self.compared(after)[0]
        return {
            "change": change.name,
            "strength": change.strength,
            "value": row["second"],
            **{key: row[key] for key in ("difference", "low", "high")},
            "at_threshold": self.at_threshold(after),
            "by": self.by(after),
        }

    def at_threshold(self, scores: Any) -> dict[str, float] | None:
        """Sensitivity and specificity at the model's threshold: where a figure that has none, as
        the area under the ROC curve, stays, these may still go."""
        settled = self.run.card.decision or {}
        if settled.get("positive") is None:
            return None
        positive = self.run.card.classes.index(settled["positive"])
        said = (scores[:, positive] >= settled["threshold"]).astype(int)
        truth = (self.labels == positive).astype(int)
        names = ("sensitivity", "specificity")
        return {name: float(tg.metrics[name](np.eye(2)[said], truth)) for name in names}

    def by(self, scores: Any) -> dict[str, dict[str, float | None]]:
        """The figure at each site."""
        metric = tg.metrics["mae" if self.task == "regression" else "auc"]
        found: dict[str, dict[str, float | None]] = {}
        for column, values in self.sites.items():
            found[column] = {}
            for site in np.unique(values):
                value = float(metric(scores[values == site], self.labels[values == site]))
                found[column][str(site)] = value if np.isfinite(value) else None
        return found


def _range(data: tg.Dataset, indices: Any) -> tuple[float, float]:
    """What is dark and what is bright in these images: the middle 98 % of their values."""
    some = np.asarray(data.images[indices[:256]], np.float64)
    dark, bright = np.percentile(some, [1, 99])
    return float(dark), float(bright)


def _sites(data: tg.Dataset, by: str | None) -> dict[str, Any]:
    """The columns that say where, or with what, an image was taken."""
    if by is not None and by not in data.columns:
        known = ", ".join(data.columns) or "none"
        raise ConfigError(f"--by {by}: {data.name} has no such column; it has: {known}")
    names = (
        [by] if by is not None else [n for n in data.columns if any(s in n.lower() for s in SITES)]
    )
    found = {name: np.asarray(data.columns[name]).astype(str) for name in names}
    return {name: x for name, x in found.items() if 2 <= len(np.unique(x)) <= FEW}


def _told(run: Any, indices: Any, column: str, values: Any) -> Row:
    """The area under the ROC curve of a logistic regression from the features of the model's last
    layer to the site, each image judged by one that was fitted without it and its patient; over
    all images, and the mean within classes, where the site's share of ill people is of no help."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, labels, many = np.unique(values, return_inverse=True, return_counts=True)
    data = run.feed.dataset
    groups = np.arange(len(indices)) if data.groups is None else data.groups[indices]
    row: Row = {"column": column, "sites": dict(zip(names.tolist(), many.tolist(), strict=True))}
    units = min(len(np.unique(groups[labels == k])) for k in range(len(names)))
    if many.min() < FEWEST or units < 2:
        return {**row, "auc": None, "low": None, "high": None, "within_classes": None}
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    folds = StratifiedGroupKFold(min(FOLDS, units), shuffle=True, random_state=0)
    scores = cross_val_predict(
        model, run.features(indices), labels, groups=groups, cv=folds, method="predict_proba"
    )
    auc = tg.metrics["auc"]
    given = None if data.groups is None else groups
    low, high, _ = auc.interval(scores, labels, given)
    return {
        **row,
        "auc": auc(scores, labels),
        "low": low if np.isfinite(low) else None,
        "high": high if np.isfinite(high) else None,
        "within_classes": _within(scores, labels, data, indices),
    }


def _within(scores: Any, sites: Any, data: tg.Dataset, indices: Any) -> float | None:
    if data.task != "classification":
        return None
    labels, auc, found = data.labels[indices], tg.metrics["auc"], []
    for c in range(len(data.classes)):
        value = float(auc(scores[labels == c], sites[labels == c]))
        if np.isfinite(value):
            found.append((value, int((labels == c).sum())))
    return sum(v * n for v, n in found) / sum(n for _, n in found) if found else None


def _lost(found: Row, row: Row) -> str:
    """What falls by more than a corner should matter, in words."""
    if found["metric"] == "auc" and row["high"] < 0 and row["difference"] < -LOSS:
        return f"AUC falls from {found['unchanged']['value']:.3f} to {row['value']:.3f}"
    before, after = found["unchanged"]["at_threshold"], row["at_threshold"]
    for name in before or ():
        if sum(before.values()) - sum(after.values()) > 2 * LOSS and after[name] < before[name]:
            return f"{name} falls from {before[name]:.3f} to {after[name]:.3f}"
    return ""


def _findings(found: Row) -> Iterator[str]:
    """What a reader must not overlook."""
    worse = -1 if found["metric"] == "auc" else 1
    for row in found["hidden"]:
        if row["change"] in MAYBE and (lost := _lost(found, row)):
            yield (
                f"The model reads the {row['change']}: with it hidden the {lost}. "
                f"{MAYBE[row['change']]}"
            )
    for row in found["sites"]:
        if row["low"] is not None and row["low"] > RECOGNISED:
            yield (
                f"The {row['column']} can be told from the image (AUC {row['auc']:.3f}, "
                f"{row['low']:.3f} to {row['high']:.3f}): where it goes with the class, the model "
                "may have learnt it instead."
            )
    least = [r for r in found["changes"] if r["low"] is not None]
    if least:
        most = max(least, key=lambda row: worse * row["difference"])
        if worse * most["difference"] > LOSS and most["low"] * most["high"] > 0:
            yield (
                f"Most is lost by {most['change']} ({most['strength']}): {found['metric']} "
                f"{most['value']:.3f} instead of {found['unchanged']['value']:.3f}."
            )
