"""``tensorgraph bench``: kernels in a table, a file or a plot, or beside another revision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tensorgraph.errors import ConfigError

if TYPE_CHECKING:
    from tensorgraph_bench.cases import Selection
    from tensorgraph_bench.gate import Rule


def bench(
    ops: Annotated[
        str | None, typer.Option(metavar="OP,OP…", help="Of these ops [default: all].")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME…", help="On these [default: all that are here]."),
    ] = None,
    kernels: Annotated[
        str | None, typer.Option(metavar="NAME,NAME…", help="By these [default: all]; or compiled.")
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|SET", help="On the shapes of a file, or of a set that comes along."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="On all the shapes that come along; it takes hours.")
    ] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg|html", help="Draw a roofline plot.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REV|FILE", help="Compare with a git revision, or with a --json file."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Percent by which it may be slower, with --against.")
    ] = 5.0,
    floor: Annotated[
        float, typer.Option(help="Microseconds of difference that count, with --against.")
    ] = 1.0,
    seconds: Annotated[float, typer.Option(help="That a case is timed.")] = 0.2,
) -> int:
    """Time ops by every kernel on every backend.

    Values are verified against the portable kernel before a time is taken. With --against, base and
    head are timed in turns; the exit status is 1 where the head is slower, and 0 where it is not.
    """
    from tensorgraph_bench import cases, gate, roofline

    if seconds <= 0 or tolerance <= 0 or floor < 0:
        raise ConfigError(
            f"bench: --seconds {seconds:g} and --tolerance {tolerance:g} must be above 0, and "
            f"--floor {floor:g} not below"
        )
    if against is not None and plot is not None:
        raise ConfigError("bench: --plot shows one result; leave --against out")
    if plot is not None:
        roofline.check(plot)
    selection = cases.Selection(
        _names(ops), _names(backend), _names(kernels), tuple(shapes or ()), every
    )
    if against is None:
        return _bench(selection, seconds, json, plot)
    rule = gate.Rule(tolerance=tolerance / 100, floor=floor * 1e-6)
    return _against(against, selection, rule, seconds, json)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (text or "").replace(" ", "").split(",")))


def say(text: str) -> None:
    """Progress, for who waits at a terminal; a line that stays only where it is a warning."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _bench(selection: Selection, seconds: float, json: Path | None, plot: Path | None) -> int:
    from tensorgraph_bench import cases, results, roofline, table

    found = cases.cases(selection, warn)
    data = results.run(found, seconds, say)
    say("")
    out = table.console()
    out.print(table.results(data))
    for line in table.conditions(data):
        out.print(line, markup=False)
    if not any(selection):
        for name in cases.not_timed(found):
            warn(f"not timed: no sample is one that {name} takes; name shapes, --shapes FILE.toml")
    for name, why in data["failures"].items():
        warn(f"failed: {why if name in why else f'{name}: {why}'}")
    if json is not None:
        results.save(json, data)
    if plot is not None:
        roofline.write(plot, data)
    return 1 if data["failures"] else 0


def _against(base: str, selection: Selection, rule: Rule, seconds: float, json: Path | None) -> int:
    from tensorgraph_bench import against, cases, results, table

    if Path(base).is_file():
        found = cases.cases(selection)
        outcome = against.with_file(Path(base), found, seconds, rule, say)
    else:
        outcome = against.with_revision(base, selection, rule, say)
    say("")
    out = table.console()
    out.print(table.comparisons(outcome.comparisons))
    out.print(table.summary(outcome.comparisons, rule), markup=False)
    for note in outcome.notes:
        warn(note)
    for failure in outcome.failures:
        warn(f"failed: {failure}")
    if json is not None:
        results.save(json, outcome.as_json())
    return outcome.status
