"""provenance.json: when a run was started, on what machine, with which versions and data."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph_train import storage
from tensorgraph_train.runfile import Data

NAME = "provenance.json"


def write(folder: Path, data: Data) -> None:
    """Begin the file, or, if it is there, add that the run was resumed."""
    path, now = folder / NAME, datetime.now(UTC).isoformat(timespec="seconds")
    if path.exists():
        found = json.loads(path.read_text("utf-8"))
        found.setdefault("resumed", []).append(now)
    else:
        found = {"started": now, **_machine(), "data": _hashes(data)}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    storage.write(path, f"{text}\n".encode())


def _machine() -> dict[str, Any]:
    """The machine and the versions, where there is a plugin that tells them."""
    if "machine" in tg.plugins.walks:
        found: dict[str, Any] = tg.plugins.walk("machine")
        return found
    return {"versions": {"tensorgraph": metadata.version("tensorgraph")}}


def _hashes(data: Data) -> dict[str, str]:
    """SHA-256 of the data as they lie: of a file as ``sha256sum`` prints it; of a folder that of
    the lines which ``sha256sum`` prints of its files, in order of their paths' bytes."""
    if data.path is None:
        return {}
    path = Path(data.path)
    if path.is_file():
        return {"SHA-256 of the data's file": _sha256(path)}
    files = [p for p in path.rglob("*") if p.is_file()]
    ordered = sorted(files, key=lambda p: p.relative_to(path).as_posix().encode())
    lines = (f"{_sha256(p)}  {p.relative_to(path).as_posix()}\n" for p in ordered)
    whole = hashlib.sha256("".join(lines).encode()).hexdigest()
    return {f"SHA-256 of the data's {len(files):,} files": whole}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
