"""The results of a run as a file: conditions, and each section's rows as they come in."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cuda.process import ROOT, Row

FORMAT = 1
FOLDER = ROOT / "bench" / "results"
REHEARSALS = ROOT / "runs"
STATE = (
    *("name", "driver_version", "pstate", "clocks.sm", "clocks.mem", "clocks.max.sm"),
    *("clocks.max.mem", "power.draw", "power.limit", "temperature.gpu", "memory.used"),
)


class Results:
    """Written whole whenever there is something new, so that what there is survives a crash."""

    def __init__(self, folder: Path, conditions: Mapping[str, Any], **flags: bool) -> None:
        now = datetime.datetime.now(datetime.UTC)
        self.begun = time.monotonic()
        self.data: dict[str, Any] = {
            "format": FORMAT,
            **flags,
            "date": now.isoformat(timespec="seconds"),
            "seconds": 0,
            **conditions,
            "sections": {},
        }
        device = re.sub(r"\W+", "-", conditions["device"]["name"]).strip("-").lower()
        kind = "rehearsal" if flags["emulated"] else "gpu-small" if flags["small"] else "gpu"
        self.path = folder / f"{kind}-{now:%Y%m%d-%H%M%S}-{device}.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.save()

    def begin(self, name: str, allowed: float) -> Row:
        entry: Row = {"ended": "running", "why": "", "seconds": 0, "allowed": round(allowed, 1)}
        entry |= {"begun": time.monotonic() - self.begun, "rows": []}
        self.data["sections"][name] = entry
        self.save()
        return entry

    def add(self, entry: Row, rows: list[Row]) -> None:
        entry["rows"] += rows
        self.save()

    def finish(self, entry: Row, failed: str) -> None:
        kind = "cut" if failed.startswith("cut") else "failed" if failed else "done"
        seconds = round(time.monotonic() - self.begun - entry.pop("begun"), 1)
        entry |= {"ended": kind, "why": failed, "seconds": seconds}
        if not self.data["emulated"]:
            entry["state"] = state()
        self.save()

    def save(self) -> None:
        self.data["seconds"] = round(time.monotonic() - self.begun, 1)
        written = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        written.write_text(json.dumps(self.data, indent=1) + "\n", "utf-8")
        written.replace(self.path)


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest whole run on a GPU: neither a rehearsal, nor a part, nor one in small sizes."""
    for path in sorted(folder.glob("gpu-*.json"), reverse=True):
        data = load(path)
        if data["whole"] and not (data["emulated"] or data["small"]):
            return {**data, "file": path.name}
    return None


def load(path: Path) -> dict[str, Any]:
    """Raises ``ValueError`` where it is no file of results."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or "sections" not in data:
        raise ValueError(f"{path} holds no results of python bench/gpu.py")
    return data


def commit() -> Row:
    """The commit of the source tree, and whether tracked files differ from it; None where git
    cannot be asked."""

    def git(*words: str) -> str | None:
        command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), *words]
        if not shutil.which("git"):
            return None
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode else done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


def state() -> Row:
    """Clocks, power, temperature and driver by nvidia-smi, where it is there: the first GPU's."""
    for names in (STATE, STATE[:2]):  # an older one may not know them all
        command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if done.returncode == 0 and done.stdout.strip():
            cells = done.stdout.splitlines()[0].split(",")
            return dict(zip(names, (cell.strip() for cell in cells)))
    return {}
