"""``tensorgraph train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.errors import ConfigError, TensorgraphError
from tensorgraph_train import runfile
from tensorgraph_train.commands import common
from tensorgraph_train.runfile import Settings

DIGITS = "digits"  # what is trained on when nothing else is said


def train(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN.toml", help="A run file.", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH|NAME", help="Images: a file, a folder, or a dataset's name."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The name of a model.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often to see every image.")] = None,
    backend: common.Backend = None,
    seed: Annotated[int | None, typer.Option(help="Of all random choices.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any key of a run file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write [default: a new one in runs/].")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    folds: Annotated[
        int | None, typer.Option(metavar="K", help="Cross-validate: K runs, a folder each.")
    ] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Permute the labels: the run must score chance.")
    ] = False,
) -> None:
    """Train on images; with nothing given, on digits.

    Without a run file or --data, a small CNN learns the bundled digits. What it was trained with,
    the weights, the history and the evaluation go to a folder of its own.
    """
    from tensorgraph_train import checkpoint, prepare

    flags = {
        "data": data,
        "model.name": model,
        "train.epochs": epochs,
        "train.seed": seed,
        "data.folds": folds,
        "train.control": control or None,
    }
    given = _given(flags, set_ or [])
    if resume:
        if out is None:
            raise ConfigError("--resume: say which run to go on with: --out DIR")
        prepare.check_folder(out, True)
        checkpoint.check_plugins(out)
        stored_at = out / prepare.RUN_FILE
        settings = runfile.settings(runfile.read(stored_at), {}, str(stored_at))
        table = runfile.read(run or stored_at)
        asked = prepare.named(_changed(table, given, run or stored_at))
        keys = [f"{section}.{key}" for section in table for key in table[section]]
        prepare.same(settings, asked, [*keys, *(key for key, _, _ in given)], out)
    else:
        settings = _asked(run, given)
        if out is not None:
            prepare.check_folder(out, False)
    origin = str(out / prepare.RUN_FILE if resume and out else run or Path("--set"))
    settings = prepare.named(settings)
    if settings.data.folds is not None and settings.data.fold is None:
        _cross_validate(settings, backend, out, resume, origin)
    else:
        _train(settings, backend, out, resume, origin)


def _cross_validate(
    settings: Settings, backend: str | None, out: Path | None, resume: bool, origin: str
) -> None:
    """A run for each fold, in a folder of its own, then the figures of all together."""
    from tensorgraph_train import checkpoint, control, display, folds, prepare, scores, storage

    settings = prepare.absolute(settings)
    data = settings.data
    out = out or prepare.new_folder(settings, data.name or Path(data.path or "data").stem)
    out.mkdir(parents=True, exist_ok=True)
    if not resume:
        prepare.check_folder(out, False)
        storage.write(out / prepare.RUN_FILE, settings.toml().encode())
    for number, one in folds.of(settings):
        stored_at = folds.folder(out, number) / prepare.RUN_FILE
        if folds.finished(stored_at.parent):
            continue
        begun = resume and stored_at.exists()
        if begun:
            checkpoint.check_plugins(stored_at.parent)
            one = runfile.settings(runfile.read(stored_at), {}, str(stored_at))
        display.fold(number, data.folds)
        try:
            _train(one, backend, stored_at.parent, begun, origin)
        except KeyboardInterrupt:
            go_on = f"tensorgraph train --resume --out {out}"
            raise KeyboardInterrupt(f"stopped; go on with: {go_on}") from None
        except TensorgraphError:
            if not any(out.glob("fold-*")):  # refused before anything was trained
                (out / prepare.RUN_FILE).unlink(missing_ok=True)
                out.rmdir()
            raise
    evaluation = folds.pooled(settings, out) | control.mark(settings)
    scores.save(out, evaluation)
    display.folds(evaluation, out)


def _train(
    settings: Settings, backend: str | None, out: Path | None, resume: bool, origin: str
) -> None:
    from tensorgraph_train import (
        control,
        display,
        leaks,
        outcome,
        prepare,
        provenance,
        shares,
        storage,
    )

    chosen, settings_in_force = common.scope(settings, backend, origin)
    with settings_in_force:
        run = prepare.run(settings)
        dataset = run.feed.dataset
        audited = out is not None and (out / leaks.AUDIT).exists()
        findings = [] if audited else leaks.found(dataset, settings)
        run.folder = out or prepare.new_folder(settings, dataset.name)
        display.before(run, chosen)
        display.findings(findings)
        run.folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            prepare.check_folder(run.folder, False)  # while the images were read it may have filled
        go_on = f"tensorgraph train --resume --out {run.folder}"
        try:
            if resume:
                run.resume()
                display.resumed(run)
            else:
                storage.write(run.folder / prepare.RUN_FILE, run.settings.toml().encode())
            shares.write(run.folder, dataset)
            leaks.save(run.folder, findings)
            if settings.train.control:
                storage.write(run.folder / control.NAME, control.TEXT.encode())
            provenance.write(run.folder, run.settings.data)
            run.fit()
            evaluation = outcome.written(run)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; go on with: {go_on}") from None
        except OSError as error:
            if (run.folder / prepare.RUN_FILE).exists() and error.strerror:
                error.strerror += f"; what was saved before is whole, go on with: {go_on}"
            raise
        display.after(run, evaluation)


def _given(flags: dict[str, Any], assignments: list[str]) -> list[tuple[str, Any, str]]:
    """Key, value and origin of all that the command line sets; a later one wins."""
    found = []
    for key, value in flags.items():
        if value is None:
            continue
        if key == "data":
            key = "data.name" if value in tg.datasets else "data.path"
            found.append((key, value, "--data"))
        else:
            found.append((key, value, f"--{key.split('.')[0 if key == 'model.name' else 1]}"))
    return found + [(*runfile.assignment(text), f"--set {text}") for text in assignments]


def _asked(run: Path | None, given: list[tuple[str, Any, str]]) -> Settings:
    """What the run file and the command line say together."""
    table = runfile.read(run) if run is not None else {}
    if run is None and not any(key in ("data.name", "data.path") for key, _, _ in given):
        table = {"data": {"name": DIGITS}}
    return _changed(table, given, run or Path("the defaults"))


def _changed(table: dict[str, Any], given: list[tuple[str, Any, str]], origin: Path) -> Settings:
    data = table.get("data")
    if isinstance(data, dict):
        if any(key == "data.path" for key, _, _ in given) and "path" not in data:
            data.pop("name", None)  # a path in place of a dataset of that name
        if any(key == "data.name" for key, _, _ in given):
            data.pop("path", None)
    for key, value, _ in given:
        if key == "model.name":
            table["model"] = {}  # another model has other options
        runfile.put(table, key, value)
    origins = {key: source for key, _, source in given}
    return runfile.settings(table, origins, str(origin))
