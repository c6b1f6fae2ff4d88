"""The run: every setting, the versions, the machine, the hashes; all that it takes to repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorgraph_report.sections.training import duration
from tensorgraph_report.study import Study

FILES = ("run.toml", "split.csv", "model.safetensors", "predictions.csv", "evaluation.json")


def the_run(study: Study) -> str:
    body = study.text(
        "run.toml holds every setting; 'tensorgraph train run.toml' repeats the run: the same "
        "seed, data, versions and machine give the same weights, with Numba after "
        "'tensorgraph warm-up'."
    )
    facts = [["seed", study.run.get("train", {}).get("seed", "–")], *_facts(study)]
    body += study.table(["", ""], facts, "What the run depended on.")
    if study.card.get("requires"):
        rows = [
            [r["plugin"], r["distribution"] or "–", r["version"] or "–"]
            for r in study.card["requires"]
        ]
        body += study.table(["plugin", "package", "version"], rows, "Plugins the model needs.")
    settings = [[key, _shown(key, value)] for key, value in _flat(study.run)]
    body += study.table(
        ["key", "value"], settings, "Every setting of run.toml.", folded="Every setting"
    )
    hashes = [
        [name, digest(study.folder / name)] for name in FILES if (study.folder / name).is_file()
    ]
    return body + study.table(
        ["file", "SHA-256"],
        hashes,
        "The run's files, as sha256sum prints them.",
        folded="Hashes of the run's files",
    )


def _facts(study: Study) -> Iterator[list[Any]]:
    found = study.provenance
    if "started" in found:
        yield ["started", found["started"]]
    if study.history:
        yield ["training", duration(sum(row["seconds"] for row in study.history))]
    for key, value in (found.get("machine") or {}).items():
        if isinstance(value, str | int | float):
            yield [key.replace("_gib", " (GiB)"), value]
    for key, value in (found.get("versions") or {}).items():
        yield [key, value]
    for key, value in (found.get("data") or {}).items():
        yield [key, value]
    if "versions" not in found and "tensorgraph" in study.card:
        yield ["tensorgraph", study.card["tensorgraph"]]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(key: str, value: Any) -> str:
    """Folders are left out of paths: they may be named after somebody."""
    if key == "data.path":
        return Path(value).name
    if isinstance(value, list):
        return ", ".join(x.get("name", str(x)) if isinstance(x, dict) else str(x) for x in value)
    return str(value)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
