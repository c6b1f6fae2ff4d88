"""``tensorgraph search``: the command, its folder and its table."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_search import mattered, searching
from tensorgraph_search.searching import Plan
from tensorgraph_search.trial import RUN_FILE, Trial

ASKED, BASE, RESULTS, PICTURE, BEST = (
    "search.toml",
    "base.toml",
    "results.csv",
    "mattered.png",
    "best.toml",
)
SHOWN = 10  # trials in the table


def search(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN.toml", help="A run file with [search].", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write [default: a new one in runs/].")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in --out.")
    ] = False,
) -> None:
    """Train many times over the ranges in a run file, and show what mattered.

    [search.over] has the keys with their ranges, [search] trials, engine ("random" or "optuna"),
    halving (of each round the best 1 in so many goes on) and seed. Chosen is by validation alone:
    look at the test figures of the best only, and only once.
    """
    text, out = _asked(run, out, resume)
    table = tomllib.loads(text)
    plan = searching.plan(table)
    mattered.require_matplotlib()
    out.mkdir(parents=True, exist_ok=True)
    (out / ASKED).write_text(text, "utf-8")
    base = {name: section for name, section in table.items() if name != "search"}
    (out / BASE).write_text(tg.plugins.walk("toml", base), "utf-8")
    total = sum(count for _, count in plan.rounds())

    def tell(done: list[Trial]) -> None:
        _save(done, plan, out)
        last, best = done[-1], searching.ranked(done)[0]
        print(f"{len(done):>4}/{total}  {_line(last)}   best so far {_number(best.value)}")

    try:
        done = searching.search(plan, out / BASE, out, tell)
    except KeyboardInterrupt:
        go_on = f"tensorgraph search --resume --out {out}"
        raise KeyboardInterrupt(f"stopped; go on with: {go_on}") from None
    _finish(done, plan, out)


def _asked(run: Path | None, out: Path | None, resume: bool) -> tuple[str, Path]:
    """The text of the run file and the folder to write."""
    if resume:
        if out is None or not (out / ASKED).is_file():
            raise ConfigError("--resume: say which search to go on with: --out DIR")
        stored = (out / ASKED).read_text("utf-8")
        if run is not None and _read(run) != stored:
            raise ConfigError(
                f"--resume: {run} is not what the search in {out} was started with; leave it out, "
                "or start a new search"
            )
        return stored, out
    if run is None:
        raise ConfigError("search: give a run file with a section [search]")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: it is not empty; add --resume to go on with the search")
    return _read(run), out or _new_folder(run)


def _read(run: Path) -> str:
    try:
        text = run.read_text("utf-8")
        tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"run file {run}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"run file {run}: not TOML: {error}") from None
    return text


def _new_folder(run: Path) -> Path:
    number = 1
    while (folder := Path("runs") / f"search-{run.stem}-{number}").exists():
        number += 1
    return folder


def _save(done: Sequence[Trial], plan: Plan, out: Path) -> None:
    """results.csv: a row for each training, the best first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "epochs", *plan.space, "metric", "value", "seconds", "folder"])
    for t in searching.ranked(list(done)):
        value = "" if t.value is None else t.value
        row: list[Any] = [t.number, t.epochs, *(t.values[key] for key in plan.space)]
        writer.writerow([*row, t.metric, value, t.seconds, t.folder])
    (out / RESULTS).write_text(text.getvalue(), "utf-8")


def _finish(done: list[Trial], plan: Plan, out: Path) -> None:
    best = searching.ranked(done)[0]
    if best.value is None:
        raise ConfigError(f"search: every trial failed; {out / best.folder}/failed.txt says why")
    (out / BEST).write_text((out / best.folder / RUN_FILE).read_text("utf-8"), "utf-8")
    mattered.draw(done, plan.space, out / PICTURE)
    print("\nthe best, by validation")
    for t in searching.ranked(done)[:SHOWN]:
        print(f"  {_line(t)}")
    print("\nwhat mattered, of the first round's differences")
    for key, share in mattered.shares(done, plan.space).items():
        print(f"  {share:>4.0%}  {key}")
    print(f"\nresults    {out / RESULTS}\npicture    {out / PICTURE}")
    print(f"the best   {out / BEST}, trained in {out / best.folder}")


def _line(t: Trial) -> str:
    values = "  ".join(f"{key.rpartition('.')[2]}={_short(x)}" for key, x in t.values.items())
    metric = t.metric or "failed"
    return f"trial {t.number:<3} {t.epochs:>3} epochs  {metric} {_number(t.value)}  {values}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
