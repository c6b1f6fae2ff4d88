"""``tensorgraph doctor``: what runs here, which settings won and why, and what is missing."""

from __future__ import annotations

import platform
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
from tensorgraph_cli.plugins import console, describe


def doctor() -> None:
    """Show what runs here, and what is missing.

    The machine, the backend in force and what chose it, what runs compiled steps, each backend and
    plugin and its error.
    """
    tg.plugins.load()
    out = console()
    for title, rows in (
        ("machine", _machine()),
        ("settings", _settings()),
        ("backends", _backends()),
        ("compiled steps", _compilers()),
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

    blas = numpy.show_config(mode="dicts")["Build Dependencies"].get("blas", {})
    return [
        ("python", f"{platform.python_version()} at {sys.executable}"),
        ("platform", platform.platform()),
        ("tensorgraph", f"{metadata.version('tensorgraph')} at {Path(tg.__file__).parent}"),
        ("numpy", f"{numpy.__version__} with {blas.get('name', '?')} {blas.get('version', '')}"),
        *(("threads", line) for line in _threads()),
    ]


def _threads() -> list[str]:
    """The libraries with threads of their own, and how many each takes."""
    from threadpoolctl import threadpool_info

    return [
        f"{pool['num_threads']} in {pool['internal_api']} {pool.get('version') or ''}"
        f" ({pool['user_api']})"
        for pool in threadpool_info()
    ]


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
    """Who runs recorded steps, in the order in which they are asked, and what plugins say."""
    asked: dict[str, list[str]] = {}
    for name in reversed([*tg.plugins.compilers]):
        backend, _, compiler = name.partition("/")
        asked.setdefault(backend, []).append(compiler)
    rows = [(b, f"by {', or else '.join([*names, 'op by op'])}") for b, names in asked.items()]
    for name, check in tg.plugins.checks.items():
        try:
            rows += imported(check, f"the check {name!r}")()
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


def _place(error: BaseException) -> str:
    """Where in the plugin's files it went wrong: the innermost line that is not ours."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    ours = str(Path(tg.__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((ours, "<")) and "/pluggy/" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _plugins() -> list[tuple[str, str]]:
    rows = []
    for info in tg.plugins.infos.values():
        state = f"broken: {describe(info.error)}" if info.error else "loaded"
        if info.error and (place := _place(info.error)):
            state += f" at {place}"
        took = f"{info.seconds * 1000:.0f} ms"
        rows.append((info.name, f"{state} in {took}, {info.module} {info.version}"))
    off = "left out by TENSORGRAPH_DISABLE_PLUGINS"
    return rows + [(name, off) for name in tg.plugins.disabled]
