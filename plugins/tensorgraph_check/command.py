"""The command ``check``: an annotated plain function, for the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import tensorgraph as tg


def check(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH",
            help="What is registered, a plugin, or the file or folder of one.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        str, typer.Option(help="Only what is of this kind: layer, activation, loss, …")
    ] = "",
    backend: Annotated[
        str | None, typer.Option(help="The backend to check on [default: that in force].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Prove a layer, activation, loss, regularizer, optimizer, op, kernel or backend right.

    NAME is that of a thing, or of a plugin: then all that it brings is checked. PATH is a .py file
    or a folder that is not installed; the Python code in it is run. The exit status is 0 if nothing
    failed, 1 if something did, 2 if there is nothing to check. What could not run is not a pass:
    the table says why.
    """
    from tensorgraph_check import find  # slow: it draws samples

    with tg.use(backend=backend):
        subjects = find.named(what, kind)
        if not subjects:
            path = Path(what)
            if not path.exists():
                raise find.unknown(what, kind)
            subjects = [s for s in find.at_path(path) if kind in ("", s.kind)]
        reports = []
        for i, subject in enumerate(subjects):
            reports.append(find.report(subject))
            if not as_json:
                print(end="\n" * min(i, 1))
                reports[-1].print()
    wrong = [f"{report.kind} {report.name!r}" for report in reports if not report.ok]
    ok = not wrong
    if as_json:
        tables = [report.table() for report in reports]
        print(json.dumps({"ok": ok, "reports": tables}, indent=1, ensure_ascii=False))
    elif len(reports) > 1:
        told = f"not right: {', '.join(wrong)}" if wrong else "none is wrong"
        print(f"\n{len(reports)} things checked, {told}")
    return 0 if ok else 1
