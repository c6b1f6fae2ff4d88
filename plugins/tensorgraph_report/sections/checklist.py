"""Checklist after CLAIM: what the run fills in, and what its author has to add."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib import resources
from typing import Any

from tensorgraph_report import parts
from tensorgraph_report.sections import count, named, sized
from tensorgraph_report.sections.data import torn
from tensorgraph_report.study import Study


def items() -> dict[str, list[dict[str, Any]]]:
    """Headings and their items, each with its number, what it asks for and what to add."""
    path = resources.files("tensorgraph_report") / "templates" / "claim.toml"
    return tomllib.loads(path.read_text("utf-8"))


def checklist(study: Study) -> str:
    filled, body = 0, ""
    for heading, own in items().items():
        rows = [(x["number"], x["item"], _said(study, x["number"]), x["add"]) for x in own]
        filled += sum(bool(said) for _, _, said, _ in rows)
        body += f"<h3>{heading}</h3>\n{parts.items(rows)}"
    return (
        parts.text(
            f"After CLAIM, the Checklist for Artificial Intelligence in Medical Imaging, in its "
            f"2024 update (Tejani et al., Radiology: Artificial Intelligence 2024; 6(4): e240300), "
            f"which revises Mongan, Moy and Kahn (2020). Of its 44 items {filled} are filled in, "
            "at least in part, from the files of this run; no program can know the rest. The items "
            "are in fewer words here: the original's count."
        )
        + body
    )


def _said(study: Study, number: int) -> str:
    answer = ANSWERS.get(number)
    return answer(study) if answer is not None else ""


def _train(study: Study) -> dict[str, Any]:
    return dict(study.run.get("train", {}))


def _kind(study: Study) -> str:
    return f"Deep learning: {study.card['model']['name']}." if study.card else ""


def _source(study: Study) -> str:
    hashed = study.provenance.get("data") or {}
    return f"{study.data}{', with its SHA-256 under “The run”' if hashed else ''}."


def _preprocessing(study: Study) -> str:
    data, card = study.run.get("data", {}), study.card
    if not card:
        return ""
    resized = f"resized to {data['resize']}, " if data.get("resize") else "not resized, "
    mean, std = (", ".join(f"{x:.4g}" for x in card[k]) for k in ("mean", "std"))
    return (
        f"Images of {sized(card['input'])}, {resized}white scaled to 1, then standardised "
        f"(mean {mean}, standard deviation {std}, of the training images)."
    )


def _identity(study: Study) -> str:
    return (
        "This report has no names or paths of images and no identifying DICOM tags; pictures are "
        "new files of the pixels alone."
    )


def _assigned(study: Study) -> str:
    rows = study.split
    if rows is None:
        return ""
    sizes = ", ".join(f"{s} {int((rows.split == s).sum()):,}" for s in dict.fromkeys(rows.split))
    return f"{sizes} images; seed {_train(study).get('seed', '–')}; every image is in split.csv."


def _disjoint(study: Study) -> str:
    rows = study.split
    if rows is None:
        return ""
    if not (rows.group != "").any():
        return "Images. No group (patient) is known."
    n = len({*rows.group} - {""})
    return f"Groups (patients): {n:,}, of which {torn(rows)} are in more than one split."


def _sample(study: Study) -> str:
    n = study.evaluation.get("n")
    return f"Tested on {count(n, 'image')}; the number is not planned here." if n else ""


def _model(study: Study) -> str:
    return "Layers, shapes and parameters under “Model”." if study.card else ""


def _software(study: Study) -> str:
    found = study.provenance.get("versions") or {}
    if not found and study.card:
        found = {"TensorGraph": study.card["tensorgraph"]}
    return ", ".join(f"{k} {v}" for k, v in found.items()) + "." if found else ""


def _initial(study: Study) -> str:
    return f"Random, from seed {_train(study).get('seed')}; no weights from elsewhere."


def _training(study: Study) -> str:
    train = _train(study)
    if not study.history:
        return ""
    optimizer = train.get("optimizer", {})
    return (
        f"{count(len(study.history), 'epoch')}, batches of {train.get('batch_size')}, "
        f"{optimizer.get('name')} with learning rate {optimizer.get('lr')}, schedule "
        f"{train.get('schedule', {}).get('name')}, loss {train.get('loss', {}).get('name')}."
    )


def _selected(study: Study) -> str:
    metric = _train(study).get("metric", "loss")
    if not study.history or "val_loss" not in study.history[-1]:
        return ""
    return f"The weights of the epoch that was best by {metric} on the validation images."


def _ensemble(study: Study) -> str:
    return "None: one model." if study.card else ""


def _metrics(study: Study) -> str:
    found = study.evaluation.get("metrics") or {}
    return ", ".join(map(named, found)) + "." if found else ""


def _uncertainty(study: Study) -> str:
    if not study.evaluation:
        return ""
    what = "patients" if study.evaluation.get("resampled_by") == "patient" else "images"
    return f"95 % intervals, over {what}; not over training runs."


def _robust(study: Study) -> str:
    return "Simulated changes of the scanner: see “Robustness”." if study.shift else ""


def _internal(study: Study) -> str:
    split = study.evaluation.get("split")
    return f"On the split “{split}” of the same data." if split else ""


def _included(study: Study) -> str:
    rows = study.split
    return f"{len(rows):,} images were used; the excluded are not known here." if rows else ""


def _characteristics(study: Study) -> str:
    rows = study.split
    return f"See “Data”: {', '.join(rows.names)}." if rows is not None and rows.names else ""


def _performance(study: Study) -> str:
    return "See “Performance”." if study.evaluation else ""


def _precision(study: Study) -> str:
    found = study.evaluation
    return "See “At the threshold” under “Performance”." if found.get("at_threshold") else ""


def _failures(study: Study) -> str:
    return "Images to look at under “Mistakes”." if study.tested is not None else ""


def _available(study: Study) -> str:
    return "TensorGraph is free software (MIT); the weights are model.safetensors of the run."


ANSWERS: dict[int, Callable[[Study], str]] = {
    1: _kind,
    7: _source,
    9: _preprocessing,
    11: _identity,
    19: _assigned,
    20: _disjoint,
    21: _sample,
    22: _model,
    23: _software,
    24: _initial,
    25: _training,
    26: _selected,
    27: _ensemble,
    28: _metrics,
    29: _uncertainty,
    30: _robust,
    32: _internal,
    35: _included,
    36: _characteristics,
    37: _performance,
    38: _precision,
    39: _failures,
    43: _available,
}
