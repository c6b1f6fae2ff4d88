"""At a glance: what was trained on what, the figures that decide, and what the audit found."""

from __future__ import annotations

from collections import Counter
from typing import Any

from markupsafe import Markup

from tensorgraph_report import parts
from tensorgraph_report.sections import count, named
from tensorgraph_report.study import Study

SHOWN = ("auc", "accuracy", "sensitivity", "specificity", "macro_f1", "mae", "rmse", "r2")
MOST = 4


def at_a_glance(study: Study) -> str:
    found, run = study.evaluation, study.run
    model = run.get("model", {}).get("name", "a model")
    how = f"for {count(len(study.history), 'epoch')}"
    if study.folds:
        how = f"{len(study.folds)} times, each time without one of as many folds"
    what = ", to tell apart " if study.task == "classification" else ": "
    body = study.text(f"{model} was trained on {study.data} {how}{what}{_listed(study.classes)}.")
    if run.get("train", {}).get("control"):
        body += study.text(
            "This is a control: the labels were permuted before training, so nothing could be "
            "learnt. Figures beyond chance say that something leaks.",
            "caution",
        )
    if not found:
        return body + study.missing(
            "evaluation.json", "nothing is known of how good it is: run 'tensorgraph evaluate'"
        )
    body += _headline(found)
    what = "patients" if found.get("resampled_by") == "patient" else "images"
    if study.folds:
        body += study.text(
            "Cross-validated: every image was judged once, by the model that had not been given "
            "its fold, and the figures are of all together."
        )
    body += study.text(
        f"Measured on {count(found['n'], 'image')} of the split “{found['split']}”, which training "
        f"was not given. Under each figure stands its 95 % interval: resampling {what} would move "
        "it about that far. It does not say how the model does in another hospital."
    )
    return body + _audit(study)


def _listed(names: tuple[str, ...], limit: int = 12) -> str:
    shown = [*names[:limit], *(["…"] if len(names) > limit else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def _headline(found: dict[str, Any]) -> str:
    metrics = {**found["metrics"], **(found.get("at_threshold") or {})}
    cells = []
    for name in [name for name in SHOWN if name in metrics][:MOST]:
        row = metrics[name]
        cells.append(
            Markup(
                '<div><dt>{}</dt><dd><span class="value">{}</span><br>'
                '<span class="interval">{}</span></dd></div>'
            ).format(named(name), parts.value(row), parts.interval(row))
        )
    return str(Markup('<dl class="headline">{}</dl>\n').format(Markup("").join(cells)))


def _audit(study: Study) -> str:
    levels = Counter(finding["level"] for finding in study.audit)
    if not levels:
        return ""
    bad = [f"{levels[k]} {k}{'s' * (levels[k] > 1)}" for k in ("error", "warning") if levels.get(k)]
    said = " and ".join(bad) if bad else "nothing to object to"
    return study.text(f"The audit of the data found {said}; see “Data”.")
