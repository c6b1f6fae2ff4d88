"""Subgroups: the same figures for each site, sex, age band and whatever else is known."""

from __future__ import annotations

from typing import Any

from markupsafe import escape

from tensorgraph_report import parts
from tensorgraph_report.sections import named
from tensorgraph_report.sections.data import FEWEST
from tensorgraph_report.sections.performance import forest, measured
from tensorgraph_report.study import Study

FIRST = ("auc", "accuracy", "mae")  # the one that is drawn


def subgroups(study: Study) -> str:
    found: dict[str, dict[str, Any]] = study.evaluation.get("subgroups") or {}
    if not study.evaluation:
        return ""
    if not found:
        return study.text(
            "Nothing is known of the images by which to divide them (site, device, sex, age), so "
            "it is not known whether the model does as well for everyone. A manifest with such "
            "columns makes this section."
        )
    body = study.text(
        "A figure that is good on the whole can hide a group for which it is not. Where intervals "
        "do not overlap, look closer; with many groups, some differ by chance."
    )
    for column, groups in found.items():
        body += _column(study, column, groups)
    return body


def _column(study: Study, column: str, groups: dict[str, Any]) -> str:
    shown = {name: row for name, row in groups.items() if row["n"] >= FEWEST}
    rows = {name: measured(row.get("metrics", row)) for name, row in shown.items()}
    metrics = list(dict.fromkeys(k for row in rows.values() for k in row))
    left = len(groups) - len(shown)
    rare = f" {left} with fewer than {FEWEST} images left out." if left else ""
    if not metrics:
        return study.text(f"{column.capitalize()}: no group has {FEWEST} images.{rare}")
    drawn = next((k for k in FIRST if k in metrics), metrics[0])
    points = {
        f"{name} ({shown[name]['n']:,})": row[drawn]
        for name, row in rows.items()
        if drawn in row and row[drawn].get("low") is not None
    }
    table = [
        [name, f"{shown[name]['n']:,}", *(_cell(row.get(k)) for k in metrics)]
        for name, row in rows.items()
    ]
    body = f"<h3>{escape(column.capitalize())}</h3>\n"
    if len(points) > 1:
        body += forest(
            study,
            points,
            f"{named(drawn)} of each group by {column}, with its 95 % interval; in brackets the "
            "number of images.",
            named(drawn),
        )
    return body + study.table(
        [column, "images", *map(named, metrics)],
        table,
        f"By {column}: each figure, and in brackets its 95 % interval.{rare}",
        folded="All figures as a table" if len(points) > 1 else "",
    )


def _cell(row: dict[str, Any] | None) -> str:
    return f"{parts.value(row, 2)} ({parts.interval(row, 2)})" if row else "–"
