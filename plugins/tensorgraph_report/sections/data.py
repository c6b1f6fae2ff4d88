"""Data: how many images of whom are in which split, what is known of them, and the audit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tensorgraph_report import parts
from tensorgraph_report.rows import Rows
from tensorgraph_report.sections import count
from tensorgraph_report.study import Study

ORDER = ("train", "val", "test")
FEWEST = 5  # images of one value: what is rarer could point to a person, and is put together
VALUES = 12  # of a column; what has more is described, not listed
LEVELS = ("error", "warning", "fine", "not run")


def data(study: Study) -> str:
    rows = study.split
    body = (
        _splits(study, rows)
        if rows is not None
        else study.missing("split.csv", "it does not say which image was for what")
    )
    dataset = study.dataset
    if dataset is not None and dataset.notes:
        body += parts.listing(map(study.without_names, dataset.notes))
    return body + _audit(study)


def _splits(study: Study, rows: Rows) -> str:
    splits = [s for s in ORDER if s in rows.split] + sorted({*rows.split} - {*ORDER})
    grouped = bool((rows.group != "").any())
    labels = _labels(study, rows)
    table = []
    for name in [*splits, "all"]:
        own = rows if name == "all" else rows.where(rows.split == name)
        line: list[Any] = [name, f"{len(own):,}"]
        if grouped:
            line.append(f"{len({*own.group} - {''}):,}")
        table.append([*line, *(f"{n:,} ({n / max(len(own), 1):.0%})" for n in labels(own))])
    head = ["split", "images", *(["patients"] if grouped else []), *labels.names]
    body = study.text(_whose(rows, grouped))
    body += study.table(
        head, table, "Images in each split, and of which class; in brackets the share of the split."
    )
    return body + _columns(study, rows, splits)


def _whose(rows: Rows, grouped: bool) -> str:
    if not grouped:
        return (
            "Nothing says which images are of the same patient. If some are, they may be in train "
            "and in test, and the figures of this report are too good."
        )
    if several := torn(rows):
        who = count(several, "patient") + (" has" if several == 1 else " have")
        return f"{who} images in more than one split: the figures of this report are too good."
    n = len({*rows.group} - {""})
    return f"No patient is in two splits ({n:,} patients, told apart by pseudonyms)."


class _Counter:
    """How many rows are of each class; of numbers, none is counted."""

    def __init__(self, names: tuple[str, ...], several: bool) -> None:
        self.names, self.several = names, several

    def __call__(self, rows: Rows) -> list[int]:
        if self.several:
            found = Counter(name for text in rows.label for name in str(text).split("|"))
        else:
            found = Counter(map(str, rows.label))
        return [found[name] for name in self.names]


def _labels(study: Study, rows: Rows) -> _Counter:
    if study.task == "regression":
        return _Counter((), False)
    return _Counter(study.classes or tuple(sorted({*rows.label})), study.task == "multilabel")


def torn(rows: Rows) -> int:
    """How many groups have images in several splits."""
    pairs = {(g, s) for g, s in zip(rows.group, rows.split) if g}
    return sum(n > 1 for n in Counter(g for g, _ in pairs).values())


def _columns(study: Study, rows: Rows, splits: list[str]) -> str:
    """What else is known of the images, without what could point to a person."""
    lines, numbers = [], []
    for i, name in enumerate(rows.names):
        column = rows.values[:, i]
        if (found := _as_numbers(column)) is not None and len({*found}) > VALUES:
            numbers.append([name, *_spread(found, rows, splits)])
            continue
        counts = Counter(x for x in column.tolist() if x)
        if not 1 < len(counts) <= VALUES:
            continue
        rare = {x for x, n in counts.items() if n < FEWEST}
        groups = [(f"{name}: {x}", column == x) for x in sorted(counts) if x not in rare]
        if rare:
            groups.append((f"{name}: other ({len(rare)})", np.isin(column, [*rare])))
        if (unknown := column == "").any():
            groups.append((f"{name}: not known", unknown))
        lines += [
            [label, *(f"{int((mask & (rows.split == s)).sum()):,}" for s in splits)]
            for label, mask in groups
        ]
    body = ""
    if lines:
        body += study.table(
            ["", *splits],
            lines,
            "What else is known of the images: how many in each split. Values of fewer than "
            f"{FEWEST} images are put together.",
        )
    if numbers:
        body += study.table(
            ["", *splits], numbers, "Numbers known of the images: median (5th … 95th percentile)."
        )
    return body


def _as_numbers(column: Any) -> Any:
    try:
        found = np.array([float(x) if x else np.nan for x in column.tolist()])
    except ValueError:
        return None
    return found


def _spread(values: Any, rows: Rows, splits: list[str]) -> list[str]:
    cells = []
    for name in splits:
        own = values[(rows.split == name) & np.isfinite(values)]
        if len(own) < FEWEST:
            cells.append("–")
            continue
        low, middle, high = np.percentile(own, [5, 50, 95])
        cells.append(f"{middle:.3g} ({low:.3g}\u00a0…\u00a0{high:.3g})")
    return cells


def _audit(study: Study) -> str:
    body = "<h3>Audit</h3>\n"
    if not study.audit:
        return body + study.missing("audit.json", "nobody has looked for leaks between the splits")
    findings = sorted(study.audit, key=lambda f: LEVELS.index(f["level"]))
    body += parts.table(
        ["check", "result", "what was found"],
        [
            [f["check"].capitalize(), parts.badge(f["level"]), study.without_names(f["text"])]
            for f in findings
        ],
        "What was looked for before training. Every image that a finding names is in audit.json.",
        "",
    )
    return body
