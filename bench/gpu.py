"""Shows on an NVIDIA GPU what cannot be shown without one, in one command of nine minutes at most.

    python bench/gpu.py [--only SECTION…] [--out FOLDER] [--minutes 9] [--data FOLDER]
                        [--small | --emulated] [--commit HASH]
    python bench/gpu.py --show [FILE]       the tables of a run that was made
    python bench/gpu.py --account           what training steps consist of: no GPU is needed
    python bench/gpu.py --docs              all of these tables in README.md and docs/gpu.md

docs/gpu.md says how. Nothing has to be installed beside the packages that TensorGraph needs, the
GPU's libraries and, for what is measured beside it, PyTorch: the source tree is enough.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("numpy", "PIL", "pluggy", "rich", "safetensors", "threadpoolctl", "typer")
PACKAGES = {"PIL": "pillow"}
NONE = 2  # the exit status where there is no GPU
# This folder holds "cuda", which is not NVIDIA's package of that name.
sys.path[:] = [str(ROOT), *(x for x in sys.path if Path(x).resolve() != ROOT / "bench")]


def main(words: Sequence[str] | None = None) -> int:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = " ".join(PACKAGES.get(name, name) for name in missing)
        say(f"packages that TensorGraph needs are missing: pip install {names}")
        return NONE
    sys.path[1:1] = [str(ROOT / folder) for folder in ("backends", "plugins")]
    from bench.cuda import results, table
    from bench.cuda.sections import SECTIONS

    given = parser(SECTIONS).parse_args(words)
    try:
        if given.docs:
            table.write_docs(ROOT, results.newest(results.FOLDER))
        if given.docs or given.account:
            return counted("--write" if given.docs else "--print")
        if given.show is not None:
            found = results.load(given.show) if given.show else results.newest(results.FOLDER)
            return table.show(found)
    except ValueError as error:
        say(str(error))
        return NONE
    return measured(given)


def counted(how: str) -> int:
    """What training steps consist of, in a process that finds the plugins."""
    with offered():
        return subprocess.run(
            [sys.executable, "-m", "bench.cuda.account", how], cwd=ROOT
        ).returncode


@contextlib.contextmanager
def offered() -> Iterator[Path]:
    """A folder for processes that import this source tree, installed or not."""
    from bench.cuda.process import offer

    with tempfile.TemporaryDirectory() as folder:
        path = [*offer(Path(folder)), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        yield Path(folder)


def measured(given: argparse.Namespace) -> int:
    from bench.cuda import table
    from bench.cuda.process import Part
    from bench.cuda.results import FOLDER, REHEARSALS, Results, commit
    from bench.cuda.sections import SECTIONS, run_all
    from bench.cuda.setting import Setting

    begun = time.monotonic()
    end = begun + given.minutes * 60
    small = given.small or given.emulated
    with offered() as folder:
        machine: dict[str, Any] = {}
        words = ["bench.cuda.machine", *(["--emulated"] if given.emulated else [])]
        failed = Part(words, Path(folder, "machine")).follow(
            end, lambda rows: [machine.update(row) for row in rows]
        )
        if failed or "error" in machine:
            say(machine.get("error") or f"the GPU cannot be described: {failed}")
            if not given.emulated:
                say("nothing was measured; --emulated rehearses it without a GPU")
            return NONE
        for name, why in machine["missing"].items():
            say(f"{name}: {why}")
        flags = {
            "emulated": given.emulated,
            "small": small,
            "whole": set(given.only) == set(SECTIONS),
        }
        told = {**commit(), **({"commit": given.commit} if given.commit else {})}
        out = given.out or (REHEARSALS if given.emulated else FOLDER)
        results = Results(out, {**told, **machine}, **flags)
        setting = Setting(given.emulated, small, end, given.data)
        run_all([SECTIONS[name] for name in given.only], setting, results, folder, say)
    say(f"written: {results.path}")
    return table.show(results.data)


def parser(sections: Any) -> argparse.ArgumentParser:
    first, _, more = (__doc__ or "").partition("\n\n")
    made = argparse.ArgumentParser(
        "python bench/gpu.py", description=first, epilog=more.rpartition("\n\n")[2]
    )
    add = made.add_argument
    add("--only", nargs="+", choices=sections, default=list(sections), metavar="SECTION",
        help=f"of {', '.join(sections)}; all of them by default")  # fmt: skip
    add("--out", type=Path, metavar="FOLDER",
        help="for the file of results; bench/results, or runs for a rehearsal")  # fmt: skip
    add("--minutes", type=minutes, default=9.0, help="that all takes at most (9)")
    add("--data", type=folder, metavar="FOLDER",
        help="with the files of MNIST and PneumoniaMNIST, for section accuracy")  # fmt: skip
    add("--small", action="store_true",
        help="the smallest sizes: whether everything runs; no results to be shown")  # fmt: skip
    add("--emulated", action="store_true",
        help="a rehearsal without a GPU, in smallest sizes; its times mean nothing")  # fmt: skip
    add("--commit", metavar="HASH", help="of the source tree, where git cannot be asked")
    add("--show", nargs="?", type=Path, const=False, metavar="FILE",
        help="measure nothing: the tables of this file, or of the newest whole run")  # fmt: skip
    add("--account", action="store_true",
        help="measure nothing: count what training steps consist of; no GPU is needed")  # fmt: skip
    add("--docs", action="store_true",
        help="measure nothing: write README.md's table and those of docs/gpu.md")  # fmt: skip
    return made


def minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= 60:
        raise ValueError
    return value


def folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


def say(text: str) -> None:
    print(f"gpu.py: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
