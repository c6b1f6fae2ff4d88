"""``tensorgraph plugins``: what is installed, what it registers, what is broken."""

from __future__ import annotations

import sys
from collections import defaultdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import tensorgraph as tg
from tensorgraph.discovery import PluginInfo


def console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def plugins() -> None:
    """List the plugins and what they register.

    Of each: name, version, origin, the names it registers, or the error that keeps it out.
    """
    tg.plugins.load()
    table = Table(box=None, pad_edge=False)
    for name in ("plugin", "version", "origin", "registers"):
        table.add_column(name, header_style="dim", overflow="fold")
    for info in tg.plugins.infos.values():
        origin = info.module if info.built_in else _origin(info)
        what = (
            f"[red]broken:[/] {escape(describe(info.error))}" if info.error else _registered(info)
        )
        table.add_row(info.name, info.version, origin, what)
    console().print(table)


def _origin(info: PluginInfo) -> str:
    return f"{info.module} (from {info.distribution})"


def _registered(info: PluginInfo) -> str:
    """By kind: "layer conv2d, linear; loss cross_entropy"."""
    names: dict[str, list[str]] = defaultdict(list)
    for kind, name in info.registered:
        names[kind].append(name)
    return "\n".join(f"[dim]{kind}[/] {', '.join(own)}" for kind, own in names.items()) or "nothing"


def describe(error: BaseException) -> str:
    """The error in one line, with its kind where the text alone says little."""
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, tg.errors.TensorgraphError) else f"{type(error).__name__}: {text}"
    )
