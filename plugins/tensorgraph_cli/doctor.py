"""``tensorgraph doctor``: what runs here, which settings won and why, and what is missing."""

from __future__ import annotations

import os
import platform
import re
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.backend import imported
from tensorgraph.errors import BackendError, TensorgraphError
from tensorgraph.registry import near_miss
from tensorgraph_cli.plugins import console, describe, source

RUNS = ("jit", "cuda")  # the extras that change what runs; the others are for developers
PREFIXES = ("TENSORGRAPH_", "OMP_", "OPENBLAS_", "MKL_", "BLIS_", "NUMBA_", "CUDA_", "MALLOC_")
DISABLE = "TENSORGRAPH_DISABLE_PLUGINS"


def doctor() -> None:
    """Show what runs here, and what is missing.

    The machine and its versions, the environment, the backend in force and what chose it, what
    runs compiled steps, each backend, or why it is not available, and each plugin: how long it took
    to load, or its error.
    """
    tg.plugins.load()
    out = console()
    for title, rows in (
        ("machine", _machine()),
        ("versions", _versions()),
        ("environment", _environment()),
        ("settings", _settings()),
        ("backends", _backends()),
        ("compiled steps", _compilers()),
        ("checks", _checks()),
        ("plugins", _plugins()),
    ):
        table = Table(box=None, pad_edge=False, show_header=False, title=title)
        table.title_justify, table.title_style = "left", "bold"
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, escape(value))
        out.print(table)
        out.print()


def _machine() -> list[tuple[str, str]]:
    import numpy

    config = numpy.show_config(mode="dicts")
    blas = config["Build Dependencies"].get("blas", {})
    features = config.get("SIMD Extensions", {})
    return [
        ("python", f"{platform.python_version()} at {sys.executable}"),
        ("platform", platform.platform()),
        ("processor", f"{_processor()}, {_cores()}"),
        ("features", ", ".join([*features.get("baseline", ()), *features.get("found", ())]) or "?"),
        ("memory", _memory()),
        ("blas", f"{blas.get('name', '?')} {blas.get('version', '')}".strip()),
        *(("threads", line) for line in _threads()),
    ]


def _processor() -> str:
    """Its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _cores() -> str:
    present = os.cpu_count() or 1
    if not hasattr(os, "sched_getaffinity"):
        return f"{present} cores"
    return f"{len(os.sched_getaffinity(0))} of {present} cores for this process"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB"
    except (AttributeError, OSError, ValueError):
        return "?"


def _threads() -> list[str]:
    """The libraries with threads of their own, and how many each takes."""
    from threadpoolctl import threadpool_info

    return [
        f"{pool['num_threads']} in {pool['internal_api']} {pool.get('version') or ''}"
        f" ({pool['user_api']}, {pool.get('architecture') or pool.get('threading_layer') or '?'})"
        for pool in threadpool_info()
    ]


def _versions() -> list[tuple[str, str]]:
    """Of this package and of what it depends on; of what is missing, what would bring it."""
    ours = f"{metadata.version('tensorgraph')} at {Path(tg.__file__).parent}"
    rows = [("tensorgraph", ours)]
    for requirement in metadata.requires("tensorgraph") or ():
        text, _, marker = requirement.partition(";")
        name = re.match(r"[\w.-]+", text)[0]  # type: ignore[index]  # a requirement has a name
        extra = re.search(r"extra == ['\"](\w+)", marker)
        if extra is not None and extra[1] not in RUNS:
            continue
        try:
            rows.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            way = f"pip install 'tensorgraph[{extra[1]}]'" if extra else "pip install tensorgraph"
            rows.append((name, f"not installed; {way} brings it"))
    return rows


def _environment() -> list[tuple[str, str]]:
    """The variables that change what runs here, where they are set."""
    rows = [(k, v) for k, v in sorted(os.environ.items()) if k.startswith(PREFIXES)]
    return rows or [("", f"none of {', '.join(f'{x}*' for x in PREFIXES)} is set")]


def _settings() -> list[tuple[str, str]]:
    rows = []
    for name in config.DEFAULTS:
        try:
            choice = config.choose(name)
            rows.append((name, f"{choice.value}, chosen by {choice.origin}"))
        except TensorgraphError as error:
            rows.append((name, str(error)))
    order = "a call or --backend > TENSORGRAPH_<NAME> > run file > pyproject.toml > default"
    return [*rows, ("precedence", order)]


def _backends() -> list[tuple[str, str]]:
    rows = [(name, _available(name)) for name in tg.plugins.backends]
    chosen = config.get_backend("auto").name
    before = config.AUTO_ORDER[: config.AUTO_ORDER.index(chosen)]
    why = f" ({', '.join(before)} not available)" if before else ""
    return [*rows, ("auto", f"would take {chosen}{why}")]


def _compilers() -> list[tuple[str, str]]:
    """Who runs recorded steps, in the order in which they are asked."""
    asked: dict[str, list[str]] = {}
    for name in reversed([*tg.plugins.compilers]):
        backend, _, compiler = name.partition("/")
        asked.setdefault(backend, []).append(compiler)
    return [(b, f"by {', or else '.join([*names, 'op by op'])}") for b, names in asked.items()]


def _checks() -> list[tuple[str, str]]:
    """What plugins say: of the GPU, of Numba."""
    rows = []
    for name, check in tg.plugins.checks.items():
        plugin = tg.plugins.checks.plugin_of(name)
        try:
            rows += imported(check, f"the check {name!r} of plugin {plugin!r}")()
        except Exception as error:  # whatever is wrong there is what was asked for
            rows.append((name, describe(error)))
    return rows


def _available(name: str) -> str:
    try:
        backend: Any = config.get_backend(name)
    except BackendError as error:
        return str(error)
    version = getattr(backend.xp, "__version__", "")
    return f"available: {backend.xp.__name__} {version}"


def _place(error: BaseException) -> list[str]:
    """Where in the plugin's files it went wrong: the innermost line that is not ours, if any is."""
    if isinstance(error, SyntaxError):
        return [f"{error.filename}:{error.lineno}"]
    ours = str(Path(tg.__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((ours, "<")) and "/pluggy/" not in frame.filename:
            return [f"{frame.filename}:{frame.lineno}"]
    return []


def _plugins() -> list[tuple[str, str]]:
    rows = []
    for info in tg.plugins.infos.values():
        state = "loaded" if info.error is None else "broken"
        lines = [f"{state} in {info.seconds * 1000:.1f} ms, {source(info)}"]
        if info.error is not None:
            lines += [describe(info.error), *(f"at {at}" for at in _place(info.error))]
        rows.append((info.name, "\n".join(lines)))
    rows += [(name, f"left out by {DISABLE}") for name in tg.plugins.disabled]
    asked = os.environ.get(DISABLE, "").replace(" ", "").split(",")
    known = [*tg.plugins.infos, *tg.plugins.disabled]
    unknown = [x for x in asked if x and x not in known]
    return rows + [(DISABLE, f"no plugin is named {near_miss(x, known)}") for x in unknown]
