"""What a library costs before it does anything: its size on disk, and the time to import it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from bench.compare.process import ROOT, THREADS
from bench.compare.variants import Variant

PROBE = """
import json, time
start = time.perf_counter()
{0}
imported = time.perf_counter()
{1}
print(json.dumps([imported - start, time.perf_counter() - start]))
"""


def installed(distribution: str, beyond: str = "numpy") -> tuple[int, list[str]]:
    """The bytes of the files of a distribution, "name" or "name[extra]", and of all that it needs
    except ``beyond``; and the names of all these. Compiled bytecode is not counted.

    Raises ``importlib.metadata.PackageNotFoundError``.
    """
    done: dict[str, int] = {}
    todo = [Requirement(distribution)]
    while todo:
        wanted = todo.pop()
        if (name := canonical(wanted.name)) == canonical(beyond):
            continue
        if name not in done:
            done[name] = own_bytes(name)
        todo += [r for r in needs(name, wanted.extras) if canonical(r.name) not in done]
    return sum(done.values()), sorted(done)


def canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def needs(name: str, extras: set[str]) -> list[Requirement]:
    """What a distribution requires here, with these extras."""
    found = map(Requirement, metadata.requires(name) or [])
    environments = [{"extra": extra} for extra in ("", *extras)]
    return [r for r in found if not r.marker or any(map(r.marker.evaluate, environments))]


def own_bytes(name: str) -> int:
    """Of an installed distribution; of one in editable mode, those of its packages."""
    distribution = metadata.distribution(name)
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        modules = {e.value.partition(":")[0].partition(".")[0] for e in distribution.entry_points}
        roots = [package_folder(module) for module in {name, *modules}]
        paths = [path for root in roots if root for path in root.rglob("*")]
    else:
        paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    return sum(p.stat().st_size for p in paths if "__pycache__" not in p.parts and p.is_file())


def package_folder(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    return Path(spec.origin).parent if spec and spec.origin else None


def import_seconds(variant: Variant, threads: int) -> tuple[float, float]:
    """The seconds of the import, and from its beginning until there is a first number.

    Raises ``subprocess.CalledProcessError`` where the library is not there.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), "PYTHONPATH": path}
    code = PROBE.format(*variant.first)
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**environment, **variant.environment}, capture_output=True, check=True
    )
    imported, first = json.loads(done.stdout)
    return imported, first


def footprints(
    variants: Sequence[Variant], rounds: int, threads: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Of every distribution among the variants: version, bytes, and the seconds of each round,
    after one that does not count, in which the files come into memory."""
    first: dict[str, Variant] = {}
    for variant in variants:
        first.setdefault(variant.distribution, variant)
    found: dict[str, Any] = {}
    for name in first:
        try:
            size, parts = installed(name)
        except metadata.PackageNotFoundError as error:
            found[name] = {"missing": f"{error.name} is not installed"}
            continue
        version = metadata.version(Requirement(name).name)
        found[name] = {"version": version, "bytes": size, "with": parts, "import": [], "first": []}
    for i in range(rounds + 1):
        say(f"imports: round {i} of {rounds}" if i else "imports")
        for name, entry in found.items():
            if "missing" in entry:
                continue
            imported, number = import_seconds(first[name], threads)
            if i:
                entry["import"].append(imported)
                entry["first"].append(number)
    return found
