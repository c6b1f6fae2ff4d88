"""``tensorgraph search``: the command, its folder and its table."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tensorgraph.errors import ConfigError
from tensorgraph_search import mattered, searching
from tensorgraph_search.searching import Plan
from tensorgraph_search.trial import Trainings, Trial, run_file

ASKED, RESULTS, PICTURE, BEST = "search.toml", "results.csv", "mattered.png", "best.toml"
SHOWN = 10  # trials in the table
FEW = 20  # trials, below which shares are guesses


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
    text = _asked(run, out, resume)
    table = tomllib.loads(text)
    plan, base = searching.plan(table), _base(table)
    mattered.require_matplotlib()
    out = out or _new_folder(run)
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        if not resume:
            _write(out / ASKED, text)
        columns = Columns(plan)
        print(columns.rounds(), columns.head, sep="\n")

        def tell(done: list[Trial]) -> None:
            _save(done, plan, out)
            best = searching.ranked(done)[0] is done[-1]
            print(columns.line(done[-1]) + "  best" * best, flush=True)

        pauses = [epochs for epochs, _ in plan.rounds()[:-1]]
        try:
            done = searching.search(plan, Trainings(base, pauses, out), tell)
        except KeyboardInterrupt:
            go_on = f"tensorgraph search --resume --out {out}"
            raise KeyboardInterrupt(f"stopped; go on with: {go_on}") from None
        except ConfigError:
            if not (resume or (out / RESULTS).exists()):  # refused before any training
                shutil.rmtree(out)
            raise
        _finish(done, plan, out, columns)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Two searches in one folder would train the same trials; the lock goes with the process."""
    with (out / ".lock").open("w") as file:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"--out {out}: another search is at work in it") from None
        yield


def _base(table: Mapping[str, Any]) -> dict[str, Any]:
    """What all trials share; the path of the data is the same from every folder."""
    base = {name: section for name, section in table.items() if name != "search"}
    data = base.get("data", {})
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        base["data"] = {**data, "path": str(Path(data["path"]).expanduser().absolute())}
    if isinstance(data, dict) and data.get("folds") is not None:
        raise ConfigError("search: a trial is one training; leave data.folds out of the run file")
    return base


def _asked(run: Path | None, out: Path | None, resume: bool) -> str:
    """The text of the run file."""
    if resume:
        if out is None or not (out / ASKED).is_file():
            raise ConfigError("--resume: say which search to go on with: --out DIR")
        stored = (out / ASKED).read_text("utf-8")
        if run is not None and _read(run) != stored:
            raise ConfigError(
                f"--resume: {run} is not what the search in {out} was started with; leave it out, "
                "or start a new search"
            )
        return stored
    if run is None:
        raise ConfigError("search: give a run file with a section [search]")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: it is not empty; add --resume to go on with the search")
    return _read(run)


def _read(run: Path) -> str:
    try:
        text = run.read_text("utf-8")
        tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"run file {run}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"run file {run}: not TOML: {error}") from None
    return text


def _new_folder(run: Path | None) -> Path:
    """The first of runs/search-<file>-1, -2, … that is free, made: it is this search's alone."""
    name, number = run.stem if run else "", 1
    while True:
        folder = Path("runs") / f"search-{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _write(path: Path, text: str) -> None:
    """In one step: a search that is ended here leaves the old file or the new."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text, "utf-8")
    beside.replace(path)


def _save(done: list[Trial], plan: Plan, out: Path) -> None:
    """results.csv: a row for each trial, the best first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["trial", "epochs", *plan.space, "metric", "value", "seconds", "folder", "failed"]
    )
    for t in searching.ranked(done):
        row: list[Any] = [t.number, t.epochs, *(t.values[key] for key in plan.space)]
        writer.writerow([*row, t.metric, t.value, t.seconds, t.folder, t.failed])
    _write(out / RESULTS, text.getvalue())


def _finish(done: list[Trial], plan: Plan, out: Path, columns: Columns) -> None:
    best = searching.ranked(done)[0]
    if best.failed:
        raise ConfigError(f"search: every trial failed; {out / RESULTS} says why")
    _write(out / BEST, run_file(out / best.folder))
    mattered.draw(done, plan.space, out / PICTURE)
    print(f"\nthe best, by {best.metric} on validation\n{columns.head}")
    for t in searching.ranked(done)[:SHOWN]:
        print(columns.line(t))
    few = " (a guess: there are few trials)" if plan.trials < FEW else ""
    print(f"\nwhat mattered, as a share of the trials' order{few}")
    for key, share in mattered.shares(done, plan.space).items():
        print(f"  {share:>4.0%}  {key}")
    print(f"\nresults    {out / RESULTS}\npicture    {out / PICTURE}")
    print(f"the best   {out / BEST}, trained in {out / best.folder}")


class Columns:
    """The lines of the table on the terminal: a column for each key, under its shortest name."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        parts = [key.split(".") for key in plan.space]
        names = [part[-1] for part in parts]
        self.names = [
            ".".join(part[-2:]) if names.count(name) > 1 else name
            for part, name in zip(parts, names)
        ]
        self.widths = [
            max(len(name), *(len(mattered.short(x)) for x in getattr(one, "values", ("1" * 8,))))
            for name, one in zip(self.names, plan.space.values())
        ]
        self.head = self._row("trial", "epochs", "value", self.names)

    def rounds(self) -> str:
        """What is going to be trained."""
        rounds = self.plan.rounds()
        shown = ", ".join(f"{count} to epoch {epochs}" for epochs, count in rounds)
        return f"{self.plan.trials} trials by {self.plan.engine} search: {shown}\n"

    def line(self, t: Trial) -> str:
        value = "failed" if t.value is None else f"{t.value:.4f}"
        values = [mattered.short(t.values[key]) for key in self.plan.space]
        return self._row(str(t.number), str(t.epochs), value, values)

    def _row(self, number: str, epochs: str, value: str, values: Sequence[str]) -> str:
        cells = (f"{x:>{width}}" for x, width in zip(values, self.widths))
        return "  ".join([f"{number:>5}", f"{epochs:>6}", f"{value:>8}", *cells])
