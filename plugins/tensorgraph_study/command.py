"""The commands shift and compare, and their tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import tensorgraph as tg
from tensorgraph.errors import ConfigError

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WIDTH = 100


def shift(
    folder: Folder,
    data: Annotated[
        str | None, typer.Option(metavar="PATH|NAME", help="Other images than the run's own.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all [default: test].")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that says where an image was taken."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Probe how a trained model bears another scanner.

    The test images are changed as another scanner would change them, in three strengths; corners
    and borders are hidden, where markers may be; and it is tried how well the site can be told
    from the image. On the run's own data it writes shift.json; with --data it only prints.
    """
    try:
        import sklearn  # noqa: F401  asked for here: nothing is computed in vain
    except ImportError as error:
        raise ConfigError(
            f"shift: {error.name} is not installed; pip install 'tensorgraph[study]'"
        ) from None
    from tensorgraph_study.shift import probe

    run = tg.plugins.walk("trained", folder, data)
    name, indices = run.split(split)
    found = probe(run, indices, name, by)
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    if data is None:
        run.write("shift.json", text + "\n")
    if as_json:
        print(text)
    else:
        _show_shift(found, run.feed.dataset.name)


def compare(
    first: Folder,
    second: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of another.", show_default=False)
    ],
    as_json: Json = False,
) -> None:
    """Say whether one run is better than another on the same test images.

    Of each figure it gives the difference, second less first, with its 95 % interval, and how
    probable one so large is where there is none: DeLong's test of areas under the ROC curve,
    McNemar's exact one of accuracies. Runs with other test images are refused.
    """
    from tensorgraph_study import compare as comparing

    found = comparing.compare(comparing.read(first), comparing.read(second))
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _show_comparison(found)


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _table(*columns: str, title: str = "", left: int = 1) -> Table:
    table = Table(box=None, title=title, title_justify="left", pad_edge=False, title_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right", header_style="dim")
    return table


def _show_shift(found: Mapping[str, Any], name: str) -> None:
    out, metric, whole = _console(), found["metric"], found["unchanged"]
    rows = [{"change": "none", "strength": "", **whole}, *found["changes"], *found["hidden"]]
    rates = list(whole["at_threshold"] or {})
    title = f"{escape(name)}, {found['split']}: {found['n']:,} images"
    columns = ("change", "strength", metric, "difference (95 % interval)")
    table = _table(*columns, *rates, title=title, left=2)
    for kind, strength, row in _named(rows):
        cells = [f"{row['value']:.4f}", ""]
        if "difference" in row:
            cells[1] = f"{row['difference']:+.4f} ({row['low']:+.4f} … {row['high']:+.4f})"
        table.add_row(kind, strength, *cells, *(f"{row['at_threshold'][r]:.3f}" for r in rates))
    out.print(table)
    for column, sites in whole["by"].items():
        table = _table(f"{metric} by {escape(column)}", "", *map(escape, sites), left=2)
        for kind, strength, row in _named(rows):
            values = (row["by"][column][site] for site in sites)
            table.add_row(kind, strength, *("–" if v is None else f"{v:.3f}" for v in values))
        out.print()
        out.print(table)
    for row in found["sites"]:
        told = "too few images of one to say"
        if row["auc"] is not None:
            within = row["within_classes"]
            told = f"AUC {row['auc']:.4f} ({row['low']:.4f} … {row['high']:.4f}; chance is 0.5)"
            told += "" if within is None else f", within classes {within:.4f}"
        out.print(f"\n[bold]{escape(row['column'])} told from the image:[/] {told}")
    for sentence in found["findings"]:
        out.print(f"\n[yellow]finding[/]  {escape(sentence)}")


def _named(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Name, strength and row; a name is said once."""
    last = ""
    for row in rows:
        yield row["change"] if row["change"] != last else "", row["strength"], row
        last = row["change"]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _show_comparison(found: Mapping[str, Any]) -> None:
    out = _console()
    table = _table("", "first", "second", "difference", "95 % interval", "p", "test")
    for row in found["differences"]:
        first, second = (_number(row[key], ".4f") for key in ("first", "second"))
        change, low, high = (_number(row[key], "+.4f") for key in ("difference", "low", "high"))
        p = "< 0.0001" if row["p"] is not None and row["p"] < 1e-4 else _number(row["p"], ".4f")
        table.add_row(row["metric"], first, second, change, f"{low} … {high}", p, row["test"])
    for key in ("first", "second"):
        out.print(f"[dim]{key:<8}[/]{escape(found[key])}", soft_wrap=True)
    out.print(f"[dim]{'images':<8}[/]{found['n']:,}, the same of both\n")
    out.print(table)
    for row in found["differences"]:
        if "first_only" in row:
            out.print(
                f"\nonly the first is right {row['first_only']} times, only the second "
                f"{row['second_only']} times"
            )
    if found["resampled_by"] == "patient":
        out.print("\nwhole patients are drawn, not images")
