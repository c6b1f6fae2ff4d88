"""Curves: ROC, precision and recall, calibration and decision; of measured numbers, agreement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_report import parts
from tensorgraph_report.operating import Rates, calibration, rates
from tensorgraph_report.rows import Rows
from tensorgraph_report.study import Study

MOST = len(parts.COLOURS)  # curves that can be told apart in one plot
POINTS = 1500  # of a scatter plot


class Curve(NamedTuple):
    """One class against the others: what is so, and the probability that was said."""

    name: str
    truth: Any
    p: Any
    style: dict[str, Any]


def curves(study: Study) -> str:
    rows = study.tested
    if rows is None:
        return study.missing(
            "predictions.csv", "no curve can be drawn: 'tensorgraph evaluate' makes it"
        )
    if study.task == "regression":
        return _agreement(study, rows)
    shown = list(curves_of(study, rows))
    if not shown:
        return study.text("The tested images are all of one class, so there is no curve.")
    body = ""
    if len(rows.names) > max(2, MOST):
        body = study.text(f"Drawn are the {MOST} most frequent of {len(rows.names)} classes.")
    point = _operating_point(study, shown)
    return body + study.beside(
        _roc(study, shown, point),
        _precision(study, shown, point),
        _calibration(study, shown),
        _decision(study, shown),
    )


def curves_of(study: Study, rows: Rows) -> Iterator[Curve]:
    """A curve a class; of two classes one, that of the positive."""
    names = list(rows.names)
    if len(names) == 2 and study.task == "classification":
        positive = (study.evaluation.get("threshold") or {}).get("positive", names[1])
        names = [positive if positive in names else names[1]]
    said = [str(text).split("|") for text in rows.label]
    several = study.task == "multilabel"
    truths = {
        name: np.array([name in x for x in said]) if several else rows.label == name
        for name in names
    }
    known = [name for name in names if 0 < truths[name].sum() < len(rows)]
    frequent = sorted(known, key=lambda name: -truths[name].sum())[:MOST]
    for i, name in enumerate(name for name in known if name in frequent):
        style = {"color": parts.COLOURS[i], "linestyle": parts.DASHES[i]}
        p = rows.values[:, rows.names.index(name)]
        yield Curve(name, truths[name].astype(int), p, style)


def _operating_point(study: Study, shown: list[Curve]) -> tuple[float, float, float] | None:
    """Sensitivity, 1 − specificity and precision at the chosen threshold; of one curve only."""
    threshold = (study.evaluation.get("threshold") or {}).get("value")
    if not isinstance(threshold, float) or len(shown) != 1:
        return None
    called, truth = shown[0].p >= threshold, shown[0].truth == 1
    precision = float(truth[called].mean()) if called.any() else 1.0
    return float(called[truth].mean()), float(called[~truth].mean()), precision


def _area(found: Rates) -> float:
    return float(np.trapezoid(found.sensitivity, found.fall_out))


def _legend(axes: Any, shown: list[Curve], where: str) -> None:
    if len(shown) > 1:
        axes.legend(loc=where, handlelength=3.2)


def _roc(study: Study, shown: list[Curve], point: Any) -> str:
    figure = study.plot()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#9aa3ad", linewidth=1)
    areas = []
    for curve in shown:
        found = rates(curve.truth, curve.p)
        areas.append((curve.name, _area(found)))
        label = f"{curve.name} ({areas[-1][1]:.3f})"
        axes.plot(found.fall_out, found.sensitivity, label=label, **curve.style)
    _cross(axes, point and (point[1], point[0]))
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    _legend(axes, shown, "lower right")
    said = ", ".join(f"{name} {area:.3f}" for name, area in areas)
    marked = (
        ""
        if point is None
        else (
            f" The cross is the chosen threshold: sensitivity {point[0]:.3f}, specificity "
            f"{1 - point[1]:.3f}."
        )
    )
    auc = study.evaluation.get("metrics", {}).get("auc")
    bounds = f" (95 % interval {parts.interval(auc)})" if auc and len(shown) == 1 else ""
    return study.figure(
        figure,
        "ROC curve: the share of ill that is found against the share of healthy that is called "
        f"ill, for every threshold. Area: {said}{bounds}; the grey line is guessing, 0.5.{marked}"
        if len(shown) == 1
        else "ROC curves, each class against all others: found against falsely called, for every "
        "threshold. In brackets the area; the grey line is guessing, 0.5.",
        f"ROC curve; area under it: {said}.{marked}",
    )


def _precision(study: Study, shown: list[Curve], point: Any) -> str:
    figure = study.plot()
    axes = figure.subplots()
    for curve in shown:
        found = rates(curve.truth, curve.p)
        axes.step(found.sensitivity, found.precision, where="post", label=curve.name, **curve.style)
        axes.axhline(curve.truth.mean(), color=curve.style["color"], linewidth=0.8, alpha=0.6)
    _cross(axes, point and (point[0], point[2]))
    axes.set(
        xlabel="sensitivity (recall)",
        ylabel="precision (PPV)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
    )
    _legend(axes, shown, "lower left")
    share = sorted(float(curve.truth.mean()) for curve in shown)
    shares = f"{share[0]:.1%}" + f" to {share[-1]:.1%}" * (len(share) > 1)
    return study.figure(
        figure,
        "Precision against recall: of those called positive how many are, against how many of the "
        "positive are found. The thin line is guessing, the share among the tested images: "
        f"{shares}. Where the disease is rarer than here, precision is lower.",
        f"Precision-recall curve; share of the tested images: {shares}.",
    )


def _calibration(study: Study, shown: list[Curve]) -> str:
    """Of several classes all claims together: each by itself would have too few."""
    bins = calibration(
        np.concatenate([curve.truth for curve in shown]),
        np.concatenate([curve.p for curve in shown]),
    )
    figure = study.plot()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#9aa3ad", linewidth=1)
    x, y = [b.said for b in bins], [b.found for b in bins]
    bars = [[max(b.found - b.low, 0) for b in bins], [max(b.high - b.found, 0) for b in bins]]
    axes.errorbar(x, y, bars, fmt="none", ecolor="#7a8590", elinewidth=1)
    axes.plot(x, y, marker="o", markersize=4, color=parts.COLOURS[0])
    axes.set(
        xlabel="probability said", ylabel="share found", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01)
    )
    temperature = (study.evaluation.get("calibration") or {}).get("temperature")
    scaled = (
        f" The probabilities were calibrated on the validation images (temperature "
        f"{temperature:.3g})."
        if temperature
        else ""
    )
    whose = "" if len(shown) == 1 else ", for all classes drawn together"
    said = "; ".join(f"{b.said:.2f} said, {b.found:.2f} found among {b.n}" for b in bins)
    return study.figure(
        figure,
        "Calibration: of the images to which about that probability was given, the share that was "
        f"so, with 95 % intervals{whose}. On the grey line the probabilities mean what they say; "
        f"below it they are too high.{scaled}",
        f"Calibration plot: {said}.",
    )


def _decision(study: Study, shown: list[Curve]) -> str:
    found = study.evaluation.get("decision_curve")
    if not found or len(shown) > 1:
        return ""
    (curve,) = shown
    thresholds, model, everyone = (np.array(found[k]) for k in ("threshold", "model", "all"))
    figure = study.plot()
    axes = figure.subplots()
    axes.axhline(0, color="#9aa3ad", linewidth=1.2, label="nobody")
    axes.plot(thresholds, everyone, parts.DASHES[1], color=parts.COLOURS[1], label="everyone")
    axes.plot(thresholds, model, parts.DASHES[0], color=parts.COLOURS[0], label="by the model")
    share = float(curve.truth.mean())
    axes.set(
        xlabel="threshold probability",
        ylabel="net benefit",
        xlim=(0, 1),
        ylim=(-0.25 * share - 0.02, 1.12 * share),
    )
    axes.legend(title="treat", loc="upper right")
    better = thresholds[model > np.maximum(everyone, 0) + 1e-12]
    where = (
        f"the model's answers are worth most between {better.min():.2f} and {better.max():.2f}"
        if len(better)
        else "nowhere are the model's answers worth more than treating everyone or nobody"
    )
    return study.figure(
        figure,
        "Decision curve: what treating by the model's answers is worth, against treating everyone "
        "and nobody, for whoever would treat from that probability on. Higher is better; "
        f"{where}.",
        f"Decision curve of {curve.name}: {where}.",
    )


def _cross(axes: Any, point: Any) -> None:
    if point is not None:
        axes.plot(*point, "+", color="#000000", markersize=13, markeredgewidth=1.6)


def _agreement(study: Study, rows: Rows) -> str:
    bias, spread = _limits(rows)
    every = len(rows)
    rows = rows.where(np.linspace(0, every - 1, min(every, POINTS)).astype(int))
    truth, said = rows.label.astype(float), rows.values[:, 0]
    difference, mean = said - truth, (said + truth) / 2
    dot: dict[str, Any] = {"markersize": 3.5, "alpha": 0.6, "color": parts.COLOURS[0]}
    figure = study.plot()
    axes = figure.subplots()
    ends = [min(truth.min(), said.min()), max(truth.max(), said.max())]
    axes.plot(ends, ends, color="#9aa3ad", linewidth=1)
    axes.plot(truth, said, "o", **dot)
    axes.set(xlabel="measured", ylabel="predicted")
    first = study.figure(
        figure,
        f"Predicted against measured, a point an image ({len(rows):,} of {every:,}). On the grey "
        "line they are equal.",
        f"Scatter plot of predicted against measured values of {len(rows):,} images.",
    )
    figure = study.plot()
    axes = figure.subplots()
    axes.plot(mean, difference, "o", **dot)
    for y, line in ((bias, "-"), (bias - spread, "--"), (bias + spread, "--")):
        axes.axhline(y, color=parts.COLOURS[1], linestyle=line, linewidth=1.2)
    axes.set(xlabel="mean of predicted and measured", ylabel="predicted − measured")
    limits = f"{bias - spread:.3g} … {bias + spread:.3g}"
    second = study.figure(
        figure,
        f"Agreement after Bland and Altman (1986): the mean difference {bias:.3g} (solid), and the "
        f"limits within which 95 % of the differences lie, {limits} (dashed).",
        f"Bland-Altman plot: mean difference {bias:.3g}, limits of agreement {limits}.",
    )
    return study.beside(first, second)


def _limits(rows: Rows) -> tuple[float, float]:
    """The mean difference, and how far from it 95 % of the differences lie."""
    difference = rows.values[:, 0] - rows.label.astype(float)
    spread = 1.96 * difference.std(ddof=1) if len(rows) > 1 else 0.0
    return float(difference.mean()), float(spread)
