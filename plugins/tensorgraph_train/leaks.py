"""The audit for leaks before training, where a plugin offers one: audit.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError
from tensorgraph_train import storage
from tensorgraph_train.runfile import Settings

AUDIT, WALK = "audit.json", "audit"
Findings = list[dict[str, Any]]


def found(dataset: tg.Dataset, settings: Settings) -> Findings:
    """What the audit says of these images and parts; nothing where there is no audit.

    Raises ``DataError`` where ``data.strict`` is on and a finding is an error.
    """
    strict = settings.data.strict
    if WALK not in tg.plugins.walks:
        if strict:
            raise ConfigError("data.strict: no plugin audits the data; leave it out")
        return []
    findings: Findings = tg.plugins.walk(WALK, dataset, seed=settings.train.seed)
    errors = [f"{one['check']}: {one['text']}" for one in findings if one["level"] == "error"]
    if strict and errors:
        raise DataError(
            f"{dataset.name} is refused (data.strict is on):\n  "
            + "\n  ".join(errors)
            + "\nmend the data or its split, or train with --set data.strict=false"
        )
    return findings


def save(folder: Path, findings: Findings) -> None:
    if findings:
        text = json.dumps({"findings": findings}, indent=1, ensure_ascii=False, allow_nan=False)
        storage.write(folder / AUDIT, (text + "\n").encode())
