"""The two sides of a comparison: a source tree each, and processes that run its code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import tensorgraph as tg
from tensorgraph.errors import BackendError, ConfigError
from tensorgraph_bench.cases import Selection


class Side(NamedTuple):
    """Code to be timed: folders for ``PYTHONPATH``, first those that ``prepare`` has made."""

    name: str
    path: tuple[Path, ...]


def prepare(name: str, tree: Path, folder: Path, *more: Path) -> Side:
    """Make a side of a source tree; ``folder`` is where to put what it needs.

    Both sides are timed by one engine, a copy of this package as it is now. A distribution named
    tensorgraph whose entry points are those of the tree stands before the installed one, so that
    the tree's own plugins are loaded; those of strangers are the same on both sides.
    """
    folder.mkdir(parents=True)
    shutil.copytree(
        Path(__file__).parent, folder / __package__, ignore=shutil.ignore_patterns("__pycache__")
    )
    settings = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))
    project = settings["project"]
    info = folder / f"tensorgraph-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: tensorgraph\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head, "utf-8")
    plugins = project.get("entry-points", {}).get("tensorgraph", {})
    lines = ["[tensorgraph]", *(f"{key} = {value}" for key, value in plugins.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    packages = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    roots = dict.fromkeys(tree / Path(package).parent for package in packages)
    return Side(name, (folder, *more, *roots))


def working_tree() -> Path:
    """The source tree that tensorgraph is run from. Raises ``ConfigError`` where there is none."""
    tree = Path(tg.__file__).resolve().parents[1]
    if not (tree / ".git").exists() or not (tree / "pyproject.toml").exists():
        raise ConfigError(
            f"--against: tensorgraph at {tree / 'tensorgraph'} is not a git checkout, so that no "
            "other revision can be had; install it from one (pip install -e .), or compare with a "
            "file that --json wrote"
        )
    return tree


@contextmanager
def checked_out(revision: str, tree: Path) -> Iterator[Path]:
    """A folder with that revision of a repository, for the length of the block."""
    wanted = _git(tree, "rev-parse", "--verify", "--quiet", "--end-of-options",
                  f"{revision}^{{commit}}")  # fmt: skip
    if wanted.returncode:
        raise ConfigError(
            f"--against {revision}: neither a file nor a revision of the repository at {tree}; "
            "give a commit, a tag or a branch, or a file that --json wrote"
        )
    with tempfile.TemporaryDirectory(prefix="tensorgraph-bench-") as folder:
        place = Path(folder) / "base"
        made = _git(tree, "worktree", "add", "--detach", str(place), wanted.stdout.strip())
        if made.returncode:
            raise ConfigError(f"--against {revision}: git worktree: {made.stderr.strip()}")
        try:
            yield place
        finally:
            _git(tree, "worktree", "remove", "--force", str(place))


def _git(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", "-C", str(tree), *words], capture_output=True, text=True,
                              check=False)  # fmt: skip
    except FileNotFoundError:
        raise ConfigError("--against: git is not installed; compare with a file") from None


class Process:
    """A worker of one side. It runs only while it is asked: the threads of a BLAS go on spinning
    for a while after their work, and would slow the other side down."""

    def __init__(self, side: Side) -> None:
        self.side = side
        path = [*map(str, side.path), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            text=True,
            encoding="utf-8",
        )

    def select(self, selection: Selection) -> list[str]:
        """The names of the cases that this side has."""
        found: list[str] = self._ask(selection._asdict())["cases"]
        return found

    def turn(
        self, name: str, seconds: float, pace: list[int] | None, verify: bool
    ) -> tuple[float, list[int]]:
        """The seconds of a call of a case, and the pace it was timed at."""
        answer = self._ask({"name": name, "seconds": seconds, "pace": pace, "verify": verify})
        return answer["seconds"], answer["pace"]

    def alive(self) -> bool:
        return self.process.poll() is None

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self._signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self.process.wait()
            raise BackendError(f"{self.side.name}: its process ended with status {status}")
        self._signal("SIGSTOP")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise BackendError(f"{self.side.name}: {answer['failed']}")
        return answer

    def _signal(self, name: str) -> None:
        if hasattr(signal, name) and self.process.poll() is None:
            os.kill(self.process.pid, getattr(signal, name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
