"""The commands train, evaluate and predict: annotated plain functions, for the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.config import Choice
from tensorgraph.errors import ConfigError
from tensorgraph_train import runfile
from tensorgraph_train.runfile import Settings

DIGITS = "digits"  # what is trained on when nothing else is said

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
]
Backend = Annotated[
    str | None, typer.Option(help="numpy, cupy, or auto for the fastest that is here.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    backend: Backend = None,
    seed: Annotated[int | None, typer.Option(help="Of all random choices.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any key of a run file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write [default: a new one in runs/].")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train on images; with nothing given, on digits.

    Without a run file or --data, a small CNN learns the bundled digits. What it was trained with,
    the weights, the history and the evaluation go to a folder of its own.
    """
    from tensorgraph_train import checkpoint, prepare

    flags = {"data": data, "model.name": model, "train.epochs": epochs, "train.seed": seed}
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
    origin = out / prepare.RUN_FILE if resume and out else run or Path("--set")
    _train(prepare.named(settings), backend, out, resume, str(origin))


def _train(
    settings: Settings, backend: str | None, out: Path | None, resume: bool, origin: str
) -> None:
    from tensorgraph_train import display, prepare, scores, storage

    chosen, scope = _scope(settings, backend, origin)
    with scope:
        run = prepare.run(settings)
        run.folder = out or prepare.new_folder(run.feed.dataset, run.card.model)
        display.before(run, chosen)
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
            run.fit()
            name, indices = _split(run.feed.dataset, None)
            found, _ = scores.run(run.model, run.infer, run.feed, indices)
            labels = run.feed.dataset.labels[indices]
            evaluation = scores.figures(found, labels, run.card.classes, name)
            scores.save(run.folder, evaluation)
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


def _scope(settings: Settings, backend: str | None, origin: str) -> tuple[Choice, tg.config.Scope]:
    """The backend and what chose it, and the settings to train under."""
    chosen = {}
    for name in tg.config.DEFAULTS:
        value, call = getattr(settings.train, name), backend if name == "backend" else None
        file = [Choice(value, f"train.{name} in {origin}")] if value else []
        chosen[name] = tg.config.choose(name, call, file)
    tg.config.get_backend(chosen["backend"].value)
    return chosen["backend"], tg.config.Scope(**chosen)


def _split(dataset: tg.Dataset, name: str | None) -> tuple[str, Any]:
    """The images of a split; unless one is named the test images, or else those for validation."""
    import numpy as np

    splits = {k: np.asarray(v) for k, v in dataset.splits.items() if len(v)}
    splits["all"] = np.arange(len(dataset.labels))
    if name is None:
        name = next(k for k in ("test", "val", "train") if k in splits)
    if name not in splits:
        raise ConfigError(f"--split {name}: {dataset.name} has {', '.join(splits)}")
    return name, splits[name]


def evaluate(
    folder: Folder,
    data: Annotated[
        str | None, typer.Option(metavar="PATH|NAME", help="Other images than the run's own.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all [default: test].")
    ] = None,
    backend: Backend = None,
    as_json: Json = False,
    skip_missing: Annotated[
        bool,
        typer.Option(
            "--skip-missing", help="Where a plugin is missing, show what is in the model's file."
        ),
    ] = False,
) -> None:
    """Measure a trained model on test images.

    Every figure has a 95 % interval. On the run's own data it writes evaluation.json; with --data
    it only prints.
    """
    from tensorgraph_train import checkpoint, display, prepare, requirements, scores, steps
    from tensorgraph_train.feed import Feed

    kinds = requirements.WITH_DATA if data is None else requirements.OF_MODEL
    if skip_missing and (inside := checkpoint.contents(folder, kinds)) is not None:
        if as_json:
            print(json.dumps(inside, indent=1, ensure_ascii=False))
        else:
            display.contents(inside)
        return
    stored_at = folder / prepare.RUN_FILE
    with _scope(Settings(), backend, "")[1]:
        card, model = checkpoint.load_model(folder, kinds)
        settings = runfile.settings(runfile.read(stored_at), {}, str(stored_at))
        dataset = prepare.dataset_for(card, settings, data)
        feed = Feed(dataset, card.mean, card.std, card.dtype)
        name, indices = _split(dataset, split)
        infer = steps.inference(model, settings.train.compile)
        found, _ = scores.run(model, infer, feed, indices)
        evaluation = scores.figures(found, dataset.labels[indices], card.classes, name)
    if data is None:
        scores.save(folder, evaluation)
    if as_json:
        print(json.dumps(evaluation, indent=1, ensure_ascii=False))
    else:
        display.evaluation(evaluation, dataset.name)


def predict(
    folder: Folder,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Image files.", show_default=False)
    ],
    backend: Backend = None,
    as_json: Json = False,
) -> None:
    """Say which class each image is of.

    Images are brought to the size and the channels that the model was trained with.
    """
    import numpy as np

    from tensorgraph_train import display, scores, steps
    from tensorgraph_train.checkpoint import load_model
    from tensorgraph_train.feed import Feed

    with _scope(Settings(), backend, "")[1], tg.no_grad():
        card, model = load_model(folder)
        channels, *size = card.input
        worth = steps.pays(model, tg.Spec((1, *card.input), card.dtype), len(images), 1)
        infer, found = steps.inference(model, worth), []
        for path in images:
            one = tg.datasets["image"].load(path, resize=tuple(size), channels=channels)
            x = Feed(one, card.mean, card.std, card.dtype).images(np.arange(1))
            row = scores.softmax(infer(x).numpy())[0]
            best = int(row.argmax())
            found.append(
                {
                    "image": str(path),
                    "class": card.classes[best],
                    "probability": float(row[best]),
                    "probabilities": dict(zip(card.classes, map(float, row), strict=True)),
                }
            )
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        display.predictions(found)
