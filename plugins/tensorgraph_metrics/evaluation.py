"""All figures of a model on a split, each with its interval: what evaluation.json holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_metrics import counting, probabilities, resample, roc, subgroups
from tensorgraph_metrics.metric import applies, wilson

Row = dict[str, Any]
IN_SUBGROUPS = {  # those that a subgroup is compared by
    "binary": ("auc", "accuracy", "sensitivity", "specificity"),
    "classification": ("auc", "accuracy", "balanced_accuracy"),
    "multilabel": ("auc", "accuracy", "f1"),
    "regression": ("mae", "rmse", "r2"),
}
OF_A_CLASS = ("auc", "sensitivity", "specificity", "ppv", "npv", "f1")
BOOTSTRAPPED = 100_000  # scores up to which the area's interval is found in two ways
LEVELS = np.arange(1, 100) / 100  # of the decision curve


def evaluate(
    scores: Any,
    labels: Any,
    classes: Sequence[str],
    *,
    split: str,
    task: str = "classification",
    decision: Mapping[str, Any] | None = None,
    uncalibrated: Any = None,
    groups: Any = None,
    columns: Mapping[str, Any] | None = None,
    prevalence: float | None = None,
) -> dict[str, Any]:
    """Every registered metric that says something of the task, and the rest of the evaluation.

    ``scores`` are calibrated probabilities (n, K), or predictions (n,) of measured numbers;
    ``uncalibrated`` the same before calibration; ``decision`` what was settled on validation. What
    is not defined, such as an AUC of one class, is None.
    """
    labels, decision = np.asarray(labels), decision or {}
    binary = task == "classification" and len(classes) == 2
    threshold, positive = decision.get("threshold"), decision.get("positive")
    own, truth, before = scores, labels, uncalibrated  # of two classes the positive one second
    if binary and positive == classes[0]:
        own, truth = scores[:, ::-1], 1 - labels
        before = None if before is None else before[:, ::-1]
    said = decided(own, threshold, classes, task) if threshold is not None else own
    found: dict[str, Any] = {
        "split": split,
        "n": len(labels),
        "task": task,
        "classes": list(classes),
        "metrics": rows(of_task(task, len(classes)), own, truth, groups),
        "resampled_by": "image" if groups is None else "patient",
        "baseline": _baseline(decision.get("majority"), labels, classes, task, groups),
        "threshold": None,
        "at_threshold": None,
        "confusion": None,
        "per_class": None,
        "subgroups": {},
        "calibration": None,
        "decision_curve": None,
    }
    if "auc" in found["metrics"] and own.size <= BOOTSTRAPPED:
        low, high, _ = roc.bootstrap(own, truth, groups)
        found["metrics"]["auc"]["bootstrap"] = {"low": known(low), "high": known(high)}
    if threshold is not None:
        names = ("rule", "chosen_on", "positive")
        found["threshold"] = {"value": threshold, **{name: decision.get(name) for name in names}}
        found["at_threshold"] = rows(of_task(task, len(classes), True), said, truth, groups)
    if binary and prevalence is not None and threshold is not None:
        made = counting.predictive(prevalence)
        found["at_prevalence"] = {
            "prevalence": prevalence,
            **{name: row(metric, said, truth, groups) for name, metric in made.items()},
        }
    if task != "regression":
        found["calibration"] = _calibration(own, truth, before, decision)
    if binary:
        found["decision_curve"] = decision_curve(own[:, 1], truth == 1)
    if task == "classification":
        shown = said[:, ::-1] if own is not scores else said
        found["confusion"] = confusion(shown.argmax(1), labels, len(classes))
    if task != "regression" and not binary:
        found["per_class"] = _per_class(scores, said, labels, classes, task, groups)
    kind = "binary" if binary else task
    for column, values in (columns or {}).items():
        parts = {}
        for name, inside in subgroups.members(column, values):
            within = None if groups is None else np.asarray(groups)[inside]
            figures = _subgroup(kind, own[inside], said[inside], truth[inside], within)
            parts[name] = {"n": int(inside.sum()), "metrics": figures}
        if parts:
            found["subgroups"][column] = parts
    return found


def of_task(task: str, classes: int, of_decisions: bool = False) -> dict[str, Any]:
    """The registered metrics that say something, or only those of decisions."""
    return {
        name: tg.metrics[name]
        for name in sorted(tg.metrics)
        if applies(tg.metrics[name], task, classes)
        and (not of_decisions or getattr(tg.metrics[name], "of_decisions", False))
    }


def rows(metrics: Mapping[str, Any], scores: Any, labels: Any, groups: Any) -> dict[str, Row]:
    return {name: row(metric, scores, labels, groups) for name, metric in metrics.items()}


def row(metric: Any, scores: Any, labels: Any, groups: Any) -> Row:
    """A metric's value and 95 % interval."""
    value = float(metric(scores, labels))
    low, high, method = math.nan, math.nan, ""
    if math.isfinite(value):
        own = getattr(metric, "interval", None)
        if own is not None:
            low, high, method = own(scores, labels, groups)
        else:
            low, high, method = resample.any_metric(metric, scores, labels, groups)
    return {"value": known(value), "low": known(low), "high": known(high), "method": method or None}


def known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def decided(scores: Any, threshold: Any, classes: Sequence[str], task: str) -> Any:
    """Scores of 0 and 1: what is said once the threshold is applied."""
    if task == "multilabel":
        return (scores >= np.array([threshold[name] for name in classes])).astype(np.float64)
    return np.eye(2)[(scores[:, 1] >= threshold).astype(int)]


def confusion(said: Any, labels: Any, classes: int) -> dict[str, Any]:
    """``counts[i][j]`` is how many of class i were taken for class j; ``low`` and ``high`` are
    Wilson's bounds of the share of class i that is."""
    counts = [[int(n) for n in own] for own in counting.table(said, labels, classes)]
    bounds = [[wilson(n, sum(own)) for n in own] for own in counts]
    return {
        "counts": counts,
        "low": [[known(low) for low, _ in own] for own in bounds],
        "high": [[known(high) for _, high in own] for own in bounds],
    }


def decision_curve(scores: Any, positive: Any) -> dict[str, list[float]]:
    """Net benefit (Vickers and Elkin 2006) of calling positive from each probability on, and of
    calling everybody so; that of calling nobody is 0."""
    n = max(1, len(scores))
    odds = LEVELS / (1 - LEVELS)
    called = scores[:, None] >= LEVELS
    hits, alarms = (called & positive[:, None]).sum(0), (called & ~positive[:, None]).sum(0)
    share = positive.sum() / n
    return {
        "threshold": LEVELS.tolist(),
        "model": (hits / n - alarms / n * odds).tolist(),
        "all": (share - (1 - share) * odds).tolist(),
    }


def _calibration(own: Any, truth: Any, before: Any, decision: Mapping[str, Any]) -> Row:
    found = {
        "temperature": decision.get("temperature", 1.0),
        "chosen_on": decision.get("chosen_on"),
        "bins": probabilities.bins(own, truth),
    }
    if before is not None:
        found["before"] = {
            "brier": known(probabilities.brier(before, truth)),
            "ece": known(probabilities.ece(before, truth)),
        }
    return found


def _per_class(
    scores: Any, said: Any, labels: Any, classes: Sequence[str], task: str, groups: Any
) -> dict[str, Any]:
    """Each class against the rest, as a question of its own."""
    found = {}
    several = task == "multilabel"
    hard = said if several else np.eye(len(classes))[scores.argmax(1)]
    for k, name in enumerate(classes):
        truth = (labels[:, k] if several else labels == k).astype(np.int64)
        figures = {}
        for metric in OF_A_CLASS:
            if metric in tg.metrics:
                of = hard if getattr(tg.metrics[metric], "of_decisions", False) else scores
                figures[metric] = row(tg.metrics[metric], _against(of[:, k]), truth, groups)
        found[name] = {"n": int(truth.sum()), "metrics": figures}
    return found


def _against(score: Any) -> Any:
    """Two columns from the score of one class."""
    return np.stack([1 - score, score], 1)


def _subgroup(kind: str, own: Any, said: Any, truth: Any, groups: Any) -> dict[str, Row]:
    found = {}
    for name in (n for n in IN_SUBGROUPS[kind] if n in tg.metrics):
        metric = tg.metrics[name]
        of = said if getattr(metric, "of_decisions", False) else own
        found[name] = row(metric, of, truth, groups)
    return found


def _baseline(
    majority: Any, labels: Any, classes: Sequence[str], task: str, groups: Any
) -> Row | None:
    """How well one does who says the same of every image."""
    if majority is None:
        return None
    names: Iterable[str] = ("accuracy",)
    n = len(labels)
    if task == "regression":
        names, constant, rule = ("mae", "rmse"), np.full(n, majority), f"always {majority:.4g}"
    elif task == "multilabel":
        constant = np.tile([float(name in majority) for name in classes], (n, 1))
        rule = f"always {', '.join(majority) or 'none'}"
    else:
        constant = np.tile([float(name == majority) for name in classes], (n, 1))
        rule = f"always {majority}"
    metrics = {name: tg.metrics[name] for name in names if name in tg.metrics}
    return {"rule": rule, "metrics": rows(metrics, constant, labels, groups)}
