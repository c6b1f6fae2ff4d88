"""What the commands print: the run before it starts, the evaluation, the predictions."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import tensorgraph as tg
from tensorgraph.config import Choice
from tensorgraph_train import control
from tensorgraph_train.answers import Answer
from tensorgraph_train.training import Run

SHOWN = 20  # classes in a table; more are left to evaluation.json
FIGURES = 4  # of a class or a subgroup, likewise


def console() -> Console:
    """Colours and boxes fit the terminal; lines are not wrapped where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _table(*columns: str, title: str | None = None, numbers: int = 0) -> Table:
    """A plain table; the last ``numbers`` columns are aligned to the right."""
    table = Table(box=None, title=title, title_justify="left", pad_edge=False, title_style="bold")
    for i, name in enumerate(columns):
        right = i >= len(columns) - numbers
        table.add_column(name, justify="right" if right else "left", header_style="dim")
    return table


def before(run: Run, backend: Choice) -> None:
    """Where the output goes, the data, the model, the backend and what chose it."""
    out, dataset = console(), run.feed.dataset
    shape = "×".join(map(str, run.card.input))
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in dataset.splits.items())
    facts = _table("", "")
    facts.show_header = False
    facts.add_row("output", escape(str(run.folder)))
    facts.add_row("data", f"{escape(dataset.name)}: {len(dataset.labels):,} images of {shape}")
    facts.add_row("classes", escape(f"{len(dataset.classes)}: {_shortened(dataset.classes)}"))
    facts.add_row("splits", sizes)
    name = tg.config.get_backend().name
    asked = "" if backend.value == name else f"{backend.value}, "
    facts.add_row("backend", escape(f"{name} ({asked}chosen by {backend.origin})"))
    if backend.value == "auto":
        facts.add_row("", escape(tg.config.explain_auto().origin))
    facts.add_row("training", _training(run))
    out.print(facts)
    for note in dataset.notes:
        out.print(f"[yellow]note[/]  {escape(note)}")
    out.print()
    summary = run.model.summary(run.feed.spec)
    table = _table(
        "layer", "", "output", "parameters", "FLOPs", numbers=2, title=run.card.model.name
    )
    for row in summary.rows:
        shape = "×".join(map(str, row.output.shape[1:])) if row.output else ""
        table.add_row(row.path, row.layer, shape, f"{row.parameters:,}", f"{row.flops:,}")
    table.add_row("total", "", "", f"{summary.parameters:,}", f"{summary.flops:,}", style="bold")
    out.print(table)
    out.print()


def findings(found: Sequence[Mapping[str, Any]]) -> None:
    """What the audit says, the worst first."""
    levels = {"error": "red", "warning": "yellow", "not run": "yellow", "fine": "green"}
    table = _table("audit", "", "")
    for level, style in levels.items():
        for one in found:
            if one["level"] == level:
                table.add_row(f"[{style}]{level}[/]", one["check"], escape(one["text"]))
    if found:
        console().print(table)
        console().print()


def _shortened(names: Sequence[str], limit: int = 12) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")


def _training(run: Run) -> str:
    train = run.settings.train
    parts = [
        f"{train.epochs} epoch{'s' * (train.epochs != 1)} in batches of {train.batch_size}",
        f"{train.optimizer.name} with lr {run.lr:g} ({train.schedule.name})",
        f"seed {train.seed}",
        train.dtype or "",
        *(["labels permuted (control)"] if train.control else []),
        *(["weighted classes"] if train.class_weights else []),
        *(["balanced sampling"] if train.sampling == "balanced" else []),
        *([_precision(train.precision)] if train.precision not in (None, "default") else []),
    ]
    return ", ".join(parts)


def _precision(name: str) -> str:
    """With a word on backends for which it means nothing."""
    backend = tg.config.get_backend()
    idle = name in ("tf32", "bfloat16") and name not in getattr(backend, "rounds", ())
    return f"{name} precision" + f" (as default: {backend.name} rounds no factors)" * idle


def resumed(run: Run) -> None:
    progress = run.progress
    console().print(f"resumed at epoch {progress.epoch + 1}, batch {progress.batch + 1}")


def after(run: Run, found: Mapping[str, Any]) -> None:
    out = console()
    best = run.progress.best_epoch
    if best is not None:
        why = "early stopping" if run.progress.stopped else f"{run.progress.epoch} epochs"
        metric = run.settings.train.metric
        out.print(f"\nthe weights kept are those of epoch {best}, the best by {metric} ({why})")
    out.print(f"trained for {run.seconds:.1f} s")
    out.print()
    evaluation(found, run.feed.dataset.name)
    if run.settings.train.control:
        out.print(f"\n[yellow]control[/]  {control.TEXT.strip()}")
    out.print(f"\nwritten to {escape(str(run.folder))}", soft_wrap=True)


def fold(number: int, of: int | None) -> None:
    console().print(f"\n[bold]fold {number} of {of}[/]")


def folds(found: Mapping[str, Any], folder: Path) -> None:
    """The figures of all folds together, and how far the folds differ."""
    out = console()
    evaluation(found, f"all {found['folds']} folds")
    for part, rows in found["spread"].items():
        title = "at each fold's threshold" if part == "at_threshold" else ""
        table = _table(title, "mean", "sd", "each fold", numbers=3)
        for metric, row in rows.items():
            if row["mean"] is not None:
                each = "  ".join(_short(x) for x in row["folds"])
                table.add_row(metric, _short(row["mean"]), _short(row["sd"]), each)
        out.print()
        out.print(table)
    out.print(f"\nwritten to {escape(str(folder))}", soft_wrap=True)


def evaluation(found: Mapping[str, Any], name: str) -> None:
    """The figures with their intervals beside those of who says always the same, then each class
    and each subgroup, and who was taken for whom."""
    out = console()
    title = f"{escape(name)}, {found['split']}: {found['n']:,} images"
    settled, at = found["threshold"], found["at_threshold"] or {}
    columns = ["value", "95 % interval"]
    if at:
        columns += [f"at {_threshold(settled)}", "95 % interval"]
    table = _table("", *columns, numbers=len(columns), title=title)
    for metric, row in found["metrics"].items():
        cells = [*_cells(row), *(_cells(at[metric]) if metric in at else ["", ""] if at else [])]
        table.add_row(metric, *cells)
    for metric, row in ((m, r) for m, r in at.items() if m not in found["metrics"]):
        table.add_row(metric, "", "", *_cells(row))
    out.print(table)
    for line in _remarks(found):
        out.print(line)
    for column, parts in found["subgroups"].items():
        _compare(column, parts)
    if found["per_class"] and len(found["classes"]) <= SHOWN:
        _compare("class", found["per_class"])
    if found["confusion"] and len(found["classes"]) <= SHOWN:
        _confusion(found)


def _cells(row: Mapping[str, Any], digits: int = 4) -> list[str]:
    """The value, and its interval."""
    value, low, high = (row[key] for key in ("value", "low", "high"))
    if value is None:
        return ["–", "not defined here"]
    between = "–" if low is None else f"{low:.{digits}f} … {high:.{digits}f}"
    return [f"{value:.{digits}f}", between]


def _threshold(settled: Mapping[str, Any]) -> str:
    if isinstance(settled["value"], Mapping):
        return "thresholds"
    return f"P({escape(settled['positive'])}) ≥ {settled['value']:.3f}"


def _remarks(found: Mapping[str, Any]) -> Iterator[str]:
    settled, calibration, base = found["threshold"], found["calibration"], found["baseline"]
    if base:
        shown = ", ".join(f"{k} {' ('.join(_cells(r))})" for k, r in base["metrics"].items())
        yield f"[dim]who says {escape(base['rule'])}:[/] {shown}"
    if settled and settled["chosen_on"]:
        yield f"[dim]threshold:[/] by {escape(settled['rule'])} on {settled['chosen_on']}"
    if (prior := found.get("at_prevalence")) is not None:
        shown = ", ".join(f"{k} {' ('.join(_cells(prior[k]))})" for k in ("ppv", "npv"))
        yield f"[dim]where {prior['prevalence']:.1%} are {escape(settled['positive'])}:[/] {shown}"
    if calibration and calibration["chosen_on"]:
        before = calibration["before"]
        yield (
            f"[dim]calibrated:[/] temperature {calibration['temperature']:.3f}, settled on "
            f"{calibration['chosen_on']}; before it brier {_short(before['brier'])}, "
            f"ece {_short(before['ece'])}"
        )
    if found["resampled_by"] == "patient":
        yield "[dim]intervals:[/] whole patients are drawn, not images"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _compare(column: str, parts: Mapping[str, Any]) -> None:
    """A row for each class or subgroup, with its figures and their intervals."""
    names = list(next(iter(parts.values()))["metrics"])[:FIGURES]
    table = _table(escape(column), "images", *names, numbers=1 + len(names))
    for name, part in parts.items():
        cells = []
        for row in (part["metrics"][metric] for metric in names):
            value, between = _cells(row, 2)
            cells.append(
                "–" if row["value"] is None else f"{value} ({between.replace(' … ', '–')})"
            )
        table.add_row(escape(name), f"{part['n']:,}", *cells)
    out = console()
    out.print()
    out.print(table)


def _confusion(found: Mapping[str, Any]) -> None:
    classes = [escape(name) for name in found["classes"]]
    matrix = _table("is \\ taken for", *classes, numbers=len(classes))
    for i, (label, row) in enumerate(zip(classes, found["confusion"]["counts"], strict=True)):
        cells = [f"[bold]{n}[/]" if i == j else str(n) if n else "·" for j, n in enumerate(row)]
        matrix.add_row(label, *cells)
    out = console()
    out.print()
    out.print(matrix)


def contents(found: Mapping[str, Any]) -> None:
    """What is in the file of a model that cannot be made here."""
    out, model = console(), dict(found["model"])
    facts = _table("", "")
    facts.show_header = False
    name = model.pop("name")
    options = ", ".join(f"{k}={v!r}" for k, v in model.items())
    facts.add_row("model", escape(f"{name}({options})"))
    facts.add_row("classes", escape(f"{len(found['classes'])}: {_shortened(found['classes'])}"))
    facts.add_row("input", f"{found['dtype']}, {'×'.join(map(str, found['input']))}")
    for part in found["missing"]:
        source = f" of {part['distribution']} {part['version']}" if part["distribution"] else ""
        what = f"{part['plugin']}{source}, for {', '.join(part['parts'])}: it {part['reason']}"
        facts.add_row("missing", escape(what))
    out.print(facts)
    out.print()
    table = _table("tensor", "shape", "dtype", "values", numbers=1)
    total = 0
    for key, x in found["tensors"].items():
        values = math.prod(x["shape"])
        table.add_row(escape(key), "×".join(map(str, x["shape"])), x["dtype"], f"{values:,}")
        total += values
    table.add_row("total", "", "", f"{total:,}", style="bold")
    out.print(table)
    out.print(f"\nto evaluate it: {escape(found['way_out'])}", soft_wrap=True)


def predictions(found: Sequence[Answer]) -> None:
    """A line an image, then in what those that are marked are unlike the training images."""
    shown = list(found[0].figures)[:FIGURES] if found else []
    table = _table("", "image", "answer", *map(escape, shown), numbers=len(shown))
    for answer in found:
        figures = (f"{answer.figures[name]:.4f}" for name in shown)
        mark = "[yellow]?[/]" if answer.unlike else ""
        table.add_row(mark, escape(answer.image), escape(answer.said), *figures)
    out = console()
    out.print(table)
    for answer in found:
        for sentence in answer.unlike:
            out.print(f"[yellow]?[/] {escape(answer.image)}: {escape(sentence)}", soft_wrap=True)
    if any(answer.unlike for answer in found):
        out.print("? unlike the training images: the answer may mean nothing")


def predicted(found: Sequence[Answer], table: Path) -> None:
    """What was written to a table."""
    unlike = sum(bool(answer.unlike) for answer in found)
    said = f"{len(found):,} images"
    if unlike:
        said += f", {unlike:,} of them unlike the training images"
    console().print(f"{escape(str(table))}: {said}", soft_wrap=True)
