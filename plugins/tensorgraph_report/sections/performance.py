"""Performance: every figure with its interval, beside what a constant answer would score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorgraph_report import parts
from tensorgraph_report.sections import count, named
from tensorgraph_report.study import Study

DRAWN = (-1.0, 1.0)  # figures within, of which more is better
LESS = ("brier", "brier_score", "ece", "expected_calibration_error", "mae", "rmse")  # is better


def performance(study: Study) -> str:
    found = study.evaluation
    if not found:
        return study.missing(
            "evaluation.json", "its figures are not known: 'tensorgraph evaluate' makes it"
        )
    metrics = found["metrics"]
    body = _baseline(study, found)
    body += _table(
        study,
        metrics,
        f"On {count(found['n'], 'image')} of the split "
        f"{found['split']!r}: each figure with its 95 % interval. A dash: not defined "
        "on these images.",
    )
    body += _forest(study, metrics)
    body += _threshold(study, found)
    return body + _per_class(study, found)


def measured(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a table's entries that are figures with an interval."""
    return {k: v for k, v in rows.items() if isinstance(v, dict) and "value" in v}


def _table(study: Study, metrics: Mapping[str, Any], caption: str) -> str:
    rows = [
        [named(k) + " (less is better)" * (k in LESS), parts.value(v), parts.interval(v)]
        for k, v in measured(metrics).items()
    ]
    return study.table(["", "value", "95 % interval"], rows, caption)


def _baseline(study: Study, found: dict[str, Any]) -> str:
    baseline = found.get("baseline")
    if not baseline:
        return ""
    name = baseline.get("class") or baseline.get("majority") or baseline.get("answer")
    figures = {k: _number(v) for k, v in baseline.get("metrics", baseline).items()}
    said = ", ".join(f"{named(k)} {v:.3f}" for k, v in figures.items() if v is not None)
    who = f"Always answering {name!r}" if isinstance(name, str) else "A constant answer"
    return study.text(f"{who} would score {said}: a model is worth what it has beyond that.")


def _number(x: Any) -> float | None:
    x = x.get("value") if isinstance(x, dict) else x
    return float(x) if isinstance(x, int | float) and not isinstance(x, bool) else None


def _forest(study: Study, metrics: Mapping[str, Any]) -> str:
    low, high = DRAWN
    rows = {
        named(k): v
        for k, v in measured(metrics).items()
        if k not in LESS and v.get("low") is not None and low <= v["low"] <= v["high"] <= high
    }
    return (
        forest(
            study,
            rows,
            "Those of which more is better, drawn: a point, and its 95 % interval as a bar. A long "
            "bar says that the test images are too few to know it well.",
        )
        if len(rows) > 1
        else ""
    )


def forest(study: Study, rows: Mapping[str, Any], caption: str, label: str = "") -> str:
    """Points with their intervals, a row each."""
    figure = study.plot(4.2, 0.75 + 0.26 * len(rows))
    axes = figure.subplots()
    for y, row in enumerate(rows.values()):
        axes.plot([row["low"], row["high"]], [y, y], color=parts.COLOURS[0], linewidth=2.4)
        axes.plot(row["value"], y, "o", color=parts.COLOURS[0], markersize=5.5)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)
    said = "; ".join(f"{k} {parts.value(v)} ({parts.interval(v)})" for k, v in rows.items())
    return study.figure(figure, caption, f"Points with intervals: {said}.")


def _threshold(study: Study, found: dict[str, Any]) -> str:
    threshold, rows = found.get("threshold"), found.get("at_threshold") or {}
    rows = measured(rows.get("metrics", rows))
    if not threshold or not rows:
        return ""
    said = (
        f"An image counts as {threshold.get('positive', 'positive')!r} from a probability of "
        f"{threshold['value']:.3f} on. That threshold was chosen by {threshold['rule']} on the "
        f"{threshold.get('chosen_on', 'val')} images, and was not touched after."
    )
    table = _table(study, rows, f"At the threshold {threshold['value']:.3f}.")
    return "<h3>At the threshold</h3>\n" + study.text(said) + table


def _per_class(study: Study, found: dict[str, Any]) -> str:
    classes = {k: measured(v) for k, v in (found.get("per_class") or {}).items()}
    if len(classes) < 2:
        return ""
    names = list(dict.fromkeys(name for row in classes.values() for name in row))
    rows = [
        [label, *(f"{parts.value(row.get(k))} ({parts.interval(row.get(k))})" for k in names)]
        for label, row in classes.items()
    ]
    return study.table(
        ["class", *map(named, names)],
        rows,
        "Each class against all others: the figure, and in brackets its 95 % interval.",
        folded="Each class by itself" if len(classes) > 12 else "",
    )
