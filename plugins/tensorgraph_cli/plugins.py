"""``tensorgraph plugins``: what is installed, what it registers, what is broken."""

from __future__ import annotations

import os
import sys
from collections import defaultdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import tensorgraph as tg
from tensorgraph.discovery import PluginInfo


def console() -> Console:
    """As wide as the terminal, or as COLUMNS says; 120 where there is neither."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if known else 120)


def plugins() -> None:
    """List the plugins and what they register.

    Of each: name, source, version, the names it registers, or the error that keeps it out.
    """
    tg.plugins.load()
    table = Table(box=None, pad_edge=False)
    for name in ("plugin", "source", "registers"):
        table.add_column(name, header_style="dim", overflow="fold")
    for info in tg.plugins.infos.values():
        broken = f"[red]broken:[/] {escape(describe(info.error))}" if info.error else ""
        table.add_row(info.name, escape(source(info)), broken or _registered(info))
    console().print(table)


def source(info: PluginInfo) -> str:
    """The module, its version, and the distribution where that has another name."""
    other = "" if info.built_in else f" of {info.distribution}"
    return f"{info.module} {info.version}{other}"


def _registered(info: PluginInfo) -> str:
    """By kind: "layer conv2d, linear; loss cross_entropy". What another plugin claims too is said
    to be contested: it has been withdrawn."""
    registries = {registry.kind: registry for registry in tg.plugins.registries.values()}
    names: dict[str, list[str]] = defaultdict(list)
    for kind, name in info.registered:
        names[kind].append(name if name in registries[kind] else f"{name} (contested)")
    return "\n".join(f"[dim]{kind}[/] {', '.join(own)}" for kind, own in names.items()) or "nothing"


def describe(error: BaseException) -> str:
    """The error in one line, with its kind where the text alone says little."""
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, tg.errors.TensorgraphError) else f"{type(error).__name__}: {text}"
    )
