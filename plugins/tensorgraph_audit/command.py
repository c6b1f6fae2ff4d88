"""``tensorgraph audit``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

import tensorgraph as tg

STYLES = {"error": "red", "warning": "yellow", "not run": "yellow", "fine": "green"}
PAIRS = 5  # of images that the terminal shows; --json has more


def audit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA|DIR", help="Images, or the folder of a run.", show_default=False
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="As for train: data.group=patient."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Look for leaks: duplicates and patients in two parts, metadata that tells the labels.

    The exit status is 1 where a finding is an error.
    """
    dataset, seed = tg.plugins.walk("dataset", data, set_ or [])
    findings: list[dict[str, Any]] = tg.plugins.walk("audit", dataset, seed=seed)
    if as_json:
        print(json.dumps({"findings": findings}, indent=1, ensure_ascii=False))
    else:
        show(findings, dataset)
    return 1 if any(one["level"] == "error" for one in findings) else 0


def show(findings: list[dict[str, Any]], dataset: tg.Dataset) -> None:
    out = Console(highlight=False, soft_wrap=True)
    order = sorted(dataset.splits, key=("train", "val", "test").index)
    parts = ", ".join(f"{name} {len(dataset.splits[name]):,}" for name in order)
    out.print(f"[bold]{escape(dataset.name)}[/]: {len(dataset.labels):,} images ({parts})")
    for one in sorted(findings, key=lambda one: list(STYLES).index(one["level"])):
        style = STYLES[one["level"]]
        out.print(f"\n[{style}]{one['level']}[/]  [bold]{escape(one['check'])}[/]")
        out.print(escape(one["text"]))
        for first, second in one["images"][:PAIRS]:
            out.print(f"  {escape(first)}  {escape(second)}", style="dim")
        if len(one["images"]) > PAIRS:
            out.print("  …", style="dim")
