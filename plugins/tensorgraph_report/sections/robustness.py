"""Robustness: the figure under simulated changes of the scanner, and whether a site gives itself
away."""

from __future__ import annotations

from typing import Any

from tensorgraph_report import parts
from tensorgraph_report.sections import within
from tensorgraph_report.sections.performance import forest
from tensorgraph_report.study import Study


def robustness(study: Study) -> str:
    found = study.shift
    if not found:
        return study.missing(
            "shift.json",
            "how the model does with another scanner is not known: 'tensorgraph shift' makes it",
        )
    metric, value = within(found["metric"]), found["unchanged"]["value"]
    body = parts.listing(map(study.without_names, found["findings"])) if found["findings"] else ""
    hidden = [{**row, "change": f"hidden: {row['change']}"} for row in found["hidden"]]
    rows = [*found["changes"], *hidden]
    names = [f"{row['change']} {row['strength']}" for row in found["changes"]]
    names += [row["change"] for row in hidden]
    drawn = {
        name: {**row, "value": row["difference"]}
        for name, row in zip(names, rows, strict=True)
        if row["low"] is not None
    }
    if drawn:
        body += forest(
            study,
            drawn,
            f"What a change of the {found['split']} images does to the {metric}, {value:.3f} "
            "without: the difference with its 95 % interval. These changes are simulated; another "
            "scanner may differ in other ways.",
            f"difference of the {metric}",
            nothing=0.0,
        )
    body += study.table(
        ["change", "strength", metric, "difference", "sensitivity", "specificity"],
        [_row(row) for row in rows],
        "The same as numbers; sensitivity and specificity at the chosen threshold, which another "
        "scanner can spoil where the area under the curve stays.",
        folded="All changes as a table",
    )
    return body + _sites(study, found["sites"])


def _row(row: dict[str, Any]) -> list[str]:
    at = row.get("at_threshold") or {}
    shown = [f"{at[k]:.3f}" if k in at else "–" for k in ("sensitivity", "specificity")]
    change = f"{row['difference']:+.3f} ({parts.interval(row)})"
    return [row["change"], row["strength"], parts.value(row), change, *shown]


def _sites(study: Study, sites: list[dict[str, Any]]) -> str:
    if not sites:
        return ""
    rows = [
        [
            site["column"],
            len(site["sites"]),
            "–" if site["auc"] is None else f"{site['auc']:.3f} ({parts.interval(site)})",
        ]
        for site in sites
    ]
    return study.table(
        ["known", "values", "AUC of telling it from the image"],
        rows,
        "How well where an image was taken can be told from the image: 0.5 is not at all. Where it "
        "can, and goes with the class, the model may have learnt it instead of the disease.",
    )
