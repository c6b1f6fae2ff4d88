"""Performance: every figure with its interval, beside what a constant answer would score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorgraph as tg
from tensorgraph_report import parts
from tensorgraph_report.sections import count, named, within
from tensorgraph_report.study import Study

RULES = {"youden": "Youden's rule", "0.5": "nobody"}
SPLITS = {"val": "validation"}
DRAWN = (-1.0, 1.0)  # figures within, of which more is better


def performance(study: Study) -> str:
    found = study.evaluation
    if not found:
        return study.missing(
            "evaluation.json", "its figures are not known: 'tensorgraph evaluate' makes it"
        )
    metrics, decided = measured(found["metrics"]), measured(found.get("at_threshold") or {})
    free = {k: v for k, v in metrics.items() if k not in decided}
    images = f"{count(found['n'], 'image')} of the split “{found['split']}”"
    body = _baseline(study, found)
    body += _table(
        study,
        free,
        f"On {images}: each figure with its 95 % interval, and how that was found. A dash: not "
        "defined on these images." + " None of these depends on a threshold." * bool(decided),
    )
    body += _threshold(study, found, decided)
    body += _forest(study, {**free, **decided})
    if decided:
        body += _table(
            study,
            {k: v for k, v in metrics.items() if k in decided},
            "The same figures where an image is called what is most probable.",
            folded="The same without a chosen threshold",
        )
    return body + _per_class(study, found)


def measured(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a table's entries that are figures with an interval."""
    return {k: v for k, v in rows.items() if isinstance(v, dict) and "value" in v}


def _table(study: Study, metrics: Mapping[str, Any], caption: str, folded: str = "") -> str:
    rows = [
        [
            named(k) + " (less is better)" * less_is_better(k),
            parts.value(v),
            parts.interval(v),
            v.get("method") or "–",
        ]
        for k, v in measured(metrics).items()
    ]
    return study.table(["", "value", "95 % interval", "by"], rows, caption, folded=folded)


def _baseline(study: Study, found: dict[str, Any]) -> str:
    baseline = found.get("baseline")
    if not baseline:
        return ""
    said = " and ".join(
        f"{within(k)} {parts.value(row)} ({parts.interval(row)})"
        for k, row in measured(baseline["metrics"]).items()
    )
    return study.text(
        f"Who answers “{baseline['rule']}” without looking scores {said}: a model is worth "
        "what it has beyond that."
    )


def less_is_better(metric: str) -> bool:
    return metric in tg.metrics and not getattr(tg.metrics[metric], "larger_is_better", True)


def _forest(study: Study, metrics: Mapping[str, Any]) -> str:
    low, high = DRAWN
    rows = {
        named(k): v
        for k, v in measured(metrics).items()
        if not less_is_better(k)
        and v.get("low") is not None
        and low <= v["low"] <= v["high"] <= high
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


def forest(
    study: Study,
    rows: Mapping[str, Any],
    caption: str,
    label: str = "",
    *,
    nothing: float | None = None,
) -> str:
    """Points with their intervals, a row each; ``nothing`` is where a line stands for no effect."""
    from matplotlib.ticker import MaxNLocator

    figure = study.plot(4.2, 0.75 + 0.26 * len(rows))
    axes = figure.subplots()
    axes.xaxis.set_major_locator(MaxNLocator(4))
    for y, row in enumerate(rows.values()):
        axes.plot([row["low"], row["high"]], [y, y], color=parts.COLOURS[0], linewidth=2.4)
        axes.plot(row["value"], y, "o", color=parts.COLOURS[0], markersize=5.5)
    if nothing is not None:
        axes.axvline(nothing, color="#4a5360", linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)
    said = "; ".join(f"{k} {parts.value(v)} ({parts.interval(v)})" for k, v in rows.items())
    return study.figure(figure, caption, f"Points with intervals: {said}.")


def _threshold(study: Study, found: dict[str, Any], rows: Mapping[str, Any]) -> str:
    threshold = found.get("threshold")
    if not threshold or not rows:
        return ""
    value, chosen = threshold["value"], threshold.get("chosen_on")
    limits = value.items() if isinstance(value, Mapping) else [(threshold["positive"], value)]
    said = "; ".join(f"“{name}” from a probability of {x:.3f} on" for name, x in limits)
    how = (
        f"chosen by {RULES.get(threshold['rule'], threshold['rule'])} on the "
        f"{SPLITS.get(chosen, chosen)} images, and not touched after"
        if chosen
        else "not chosen: there were no validation images"
    )
    return (
        "<h3>At the threshold</h3>\n"
        + study.text(f"An image is called {said}: {how}.")
        + _table(study, rows, "What is decided at the threshold, and how often it is right.")
        + _prevalence(study, found)
    )


def _prevalence(study: Study, found: dict[str, Any]) -> str:
    stated = found.get("at_prevalence")
    if not stated:
        return ""
    return _table(
        study,
        measured(stated),
        f"Where {stated['prevalence']:.1%} of those who are examined have it, as was stated; the "
        "PPV and NPV above hold for the share among the tested images.",
    )


def _per_class(study: Study, found: dict[str, Any]) -> str:
    classes = {k: measured(v["metrics"]) for k, v in (found.get("per_class") or {}).items()}
    if len(classes) < 2:
        return ""
    names = list(dict.fromkeys(name for row in classes.values() for name in row))
    rows = [
        [label, *(f"{parts.value(row.get(k), 2)} ({parts.interval(row.get(k), 2)})" for k in names)]
        for label, row in classes.items()
    ]
    return study.table(
        ["class", *map(named, names)],
        rows,
        "Each class against all others: the figure, and in brackets its 95 % interval.",
        folded="Each class by itself" if len(classes) > 12 else "",
    )
