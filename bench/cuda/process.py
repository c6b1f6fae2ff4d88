"""Runs a part of the benchmark in a process of its own, and reads its rows as they come: a crash,
or an address that is none on the GPU, ends that process alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT, ROOT / "backends", ROOT / "plugins", ROOT / "tests")
ROWS = "TENSORGRAPH_BENCH_ROWS"  # the file that a part writes its rows to
LINES = 12  # of what a part said last
PAUSE = 0.1  # seconds between two looks at its rows
Row = dict[str, Any]


def offer(folder: Path) -> list[str]:
    """The path of a process that imports this source tree, installed or not: what an installation
    would say of the plugins is written to the folder, which comes first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    made = folder / f"{name}-{version}.dist-info"
    made.mkdir(exist_ok=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    plugins = project["entry-points"][name].items()
    lines = [f"[{name}]", *(f"{plugin} = {module}" for plugin, module in plugins)]
    (made / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return [str(folder), *map(str, SOURCES)]


def note(row: Mapping[str, Any]) -> None:
    """Write a row for whoever follows this process."""
    line = json.dumps(row, default=float)  # NumPy's numbers too
    with Path(os.environ[ROWS]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def earlier() -> list[Row]:
    """The rows of processes before this one, where it goes on in their place."""
    path = Path(os.environ.get(ROWS, os.devnull))
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class Part:
    """``python -m <module> <words>``. Its rows lie in a file in the folder, after those of a part
    before it there, and what it says in another. With ``alone`` it has a group of processes, so
    that what it starts ends with it."""

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        *,
        alone: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.alone = alone
        self.rows_at, self.log = folder / "rows", folder / "log"
        self.rows_at.touch()
        self._read = self.rows_at.stat().st_size
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", *words],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {}), ROWS: str(self.rows_at)},
                process_group=0 if alone else None,
            )

    def follow(self, until: float, each: Callable[[list[Row]], object]) -> str:
        """Wait for its end, at most until this ``time.monotonic()``, and hand on rows as they
        come; how it failed, or nothing. It has ended then."""
        begun = time.monotonic()
        try:
            while self.process.poll() is None and time.monotonic() < until:
                if rows := self.rows():
                    each(rows)
                time.sleep(PAUSE)
            status = self.process.poll()
        finally:
            self.stop()
        each(self.rows())
        if status is None:
            return f"cut after {time.monotonic() - begun:.0f} s{self.said()}"
        return f"{ended(status)}{self.said()}" if status else ""

    def rows(self) -> list[Row]:
        """Those that came since the last time."""
        with self.rows_at.open("rb") as file:
            file.seek(self._read)
            *whole, _ = file.read().split(b"\n")  # the last line may be half of one
        self._read += sum(len(line) + 1 for line in whole)
        return [json.loads(line) for line in whole]

    def said(self) -> str:
        """Its last words."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()[-LINES:]
        return ":\n" + "\n".join(lines) if lines else ""

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.alone:
                os.killpg(self.process.pid, signal.SIGKILL)
            elif self.process.poll() is None:
                self.process.kill()
        self.process.wait()


def ended(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
