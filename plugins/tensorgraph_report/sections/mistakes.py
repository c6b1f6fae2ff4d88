"""Mistakes: the images that the model was most sure of and wrong, and the hardest to tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph_report.rows import Rows
from tensorgraph_report.study import Study

SHOWN = 12


def mistakes(study: Study) -> str:
    rows = study.tested
    if rows is None:
        return study.missing(
            "predictions.csv", "its mistakes cannot be shown: 'tensorgraph evaluate' makes it"
        )
    if study.task == "regression":
        return _largest(study, rows)
    wrong, certain, margin, said = _judged(study, rows)
    order = np.argsort(-certain, kind="stable")
    sure = [i for i in order if wrong[i]][:SHOWN]
    hard = np.argsort(margin, kind="stable")[:SHOWN]
    body = study.text(
        f"{int(wrong.sum()):,} of {len(rows):,} tested images were taken for another class. The "
        "number under each is its line in predictions.csv, which has its name; then stand what it "
        "is and the probability that was given."
    )
    if not sure:
        body += study.text("None was wrong, so none is shown as such.")
    body += _shown(
        study,
        rows,
        sure,
        said,
        "Most sure and wrong: the wrong answers that were given the highest probability. Look for "
        "wrong labels, for markers, and for what they have in common.",
        "a wrongly classified image",
    )
    return body + _shown(
        study,
        rows,
        hard,
        said,
        "Hardest: the images whose answer was nearest to turning over. Ask a colleague what they "
        "are.",
        "an image near the limit between classes",
    )


def _judged(study: Study, rows: Rows) -> tuple[Any, Any, Any, list[str]]:
    """Whether each is wrong, how sure the answer was, how near to another one, and its words."""
    p, names = rows.values, np.array(rows.names)
    threshold = study.evaluation.get("threshold") or {}
    if study.task == "multilabel":
        limits = threshold.get("value") or {}
        limit = np.array([limits.get(name, 0.5) for name in rows.names])
        truth = np.array([[n in str(x).split("|") for n in rows.names] for x in rows.label])
        off = np.where(truth, 1 - p, p)
        at = off.argmax(1)
        certain = off.max(1)
        words = [
            f"{'is' if t[j] else 'is not'} {names[j]}; P({names[j]}) = {q[j]:.3f}"
            for j, t, q in zip(at, truth, p, strict=True)
        ]
        wrong = ((p >= limit) != truth).any(1)
        return wrong, certain, np.abs(p - limit).min(1), words
    answer, shown = p.argmax(1), p.argmax(1)
    ordered = np.sort(p, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    if len(names) == 2 and threshold.get("positive") in rows.names:
        k = rows.names.index(threshold["positive"])
        called = p[:, k] >= threshold["value"]
        answer, shown = np.where(called, k, 1 - k), np.full(len(p), k)
        margin = np.abs(p[:, k] - threshold["value"])
    certain = p[np.arange(len(p)), answer]
    words = [
        f"is {label}; P({names[j]}) = {row[j]:.3f}"
        for label, j, row in zip(rows.label, shown, p, strict=True)
    ]
    return names[answer] != rows.label, certain, margin, words


def _largest(study: Study, rows: Rows) -> str:
    truth, said = rows.label.astype(float), rows.values[:, 0]
    worst = np.argsort(-np.abs(said - truth), kind="stable")[:SHOWN]
    words = [f"is {x:.3g}, said {y:.3g}" for x, y in zip(truth, said, strict=True)]
    return _shown(
        study,
        rows,
        worst,
        words,
        "The images whose number was missed by most; the number under each is its line in "
        "predictions.csv, which has its name.",
        "an image whose number was missed",
    )


def _shown(study: Study, rows: Rows, chosen: Any, said: list[str], caption: str, alt: str) -> str:
    names = [str(rows.image[i]) for i in chosen]
    captions = [f"{study.lines[name]}: {said[i]}" for name, i in zip(names, chosen, strict=True)]
    return study.gallery(names, captions, caption, alt)
