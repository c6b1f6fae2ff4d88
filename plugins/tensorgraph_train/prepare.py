"""From settings to a run that can start: names, data and model checked and put together."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError, ShapeError
from tensorgraph_train import (
    augment,
    checkpoint,
    control,
    feed,
    parts,
    requirements,
    runfile,
    shares,
    tasks,
    transfer,
)
from tensorgraph_train.checkpoint import Card
from tensorgraph_train.runfile import BY_TASK, Data, Named, Settings, near
from tensorgraph_train.training import Run

RUN_FILE = "run.toml"


def named(settings: Settings) -> Settings:
    """Look up every name and write out every option, before anything slow begins."""
    train = settings.train
    if train.metric not in (BY_TASK, "loss"):
        tg.metrics[train.metric]
    if settings.data.name is not None and settings.data.path is None:
        tg.datasets[settings.data.name]
    resolve = parts.resolve
    changes: dict[str, Any] = {
        "optimizer": resolve(
            tg.optimizers,
            "train.optimizer",
            train.optimizer,
            first=1,
            reserved="clip_norm clip_value",
        ),
        "augment": tuple(map(augment.resolve, train.augment)),
        "schedule": resolve(tg.schedules, "train.schedule", train.schedule),
        "callbacks": tuple(resolve(tg.callbacks, "train.callbacks", c) for c in train.callbacks),
    }
    if train.loss.name != BY_TASK:
        changes["loss"] = resolve(tg.losses, "train.loss", train.loss, first=2)
    if train.regularizer is not None:
        changes["regularizer"] = resolve(tg.regularizers, "train.regularizer", train.regularizer)
    model = resolve(tg.models, "model", settings.model, reserved="classes")
    train = dataclasses.replace(train, **changes)
    return dataclasses.replace(settings, model=model, train=train)


def run(settings: Settings) -> Run:
    """Load the data, build the model and what trains it, under the settings in force."""
    seed = settings.train.seed
    dataset = shares.checked(feed.load(settings.data, seed), settings.data.mixed_groups)
    if settings.train.control:
        dataset = control.permuted(dataset, seed)
    settings = dataclasses.replace(
        settings, train=tasks.with_defaults(settings.train, dataset.task)
    )
    tasks.check_positive(settings.evaluate.positive, dataset)
    settings = named(settings)  # of the task's loss too every option is written out
    mean, std = settings.data.mean, settings.data.std
    channels = dataset.images.shape[1]
    if mean is None or std is None:
        found = transfer.scaling(settings, channels) or feed.statistics(dataset)
        mean, std = mean or found[0], std or found[1]
    for key, value in (("mean", mean), ("std", std)):
        if len(value) != channels:
            raise ConfigError(f"data.{key} has {len(value)} numbers for {channels} channels")
    current = tg.config.current()
    target, workers = feed.scale(dataset), settings.data.workers
    images = feed.Feed(dataset, mean, std, current.dtype.value, target, workers)
    tg.seed(seed)
    model = checkpoint.make_model(settings.model, dataset.classes)
    _fit_to(model, images.spec, dataset, settings.model.name)
    moved = transfer.begun(settings, model)
    settings = absolute(settings)
    data = dataclasses.replace(settings.data, mean=mean, std=std)
    train = dataclasses.replace(
        settings.train,
        backend=tg.config.get_backend().name,
        dtype=current.dtype.value,
        precision=current.precision.value,
    )
    settings = dataclasses.replace(settings, data=data, train=train)
    card = Card(
        model=settings.model,
        classes=tuple(dataset.classes),
        input=tuple(images.spec.shape[1:]),
        dtype=current.dtype.value,
        mean=mean,
        std=std,
        tensorgraph=metadata.version("tensorgraph"),
        requires=requirements.of_run(settings, model, images.spec),
        task=dataset.task,
        target=images.target,
    )
    return Run(settings, images, card, model, moved)


def _fit_to(model: tg.Layer, image: tg.Spec, dataset: tg.Dataset, name: str) -> None:
    """Give the model its shapes; say what to do where the images do not fit it."""
    size = "×".join(map(str, image.shape[1:]))
    try:
        out = model.infer_shape(image)
    except ShapeError as error:
        axes = "channels×height×width"
        way_out = "resize them (--set data.resize=[32,32]), or choose another model (--model)"
        if len(image.shape) == 5:
            axes = "channels×depth×height×width"
            way_out = "choose a model of volumes (--model small_cnn3d), or resize them"
        raise ShapeError(
            f"model {name!r} does not fit images of {size} ({axes}): {error}\n  {way_out}"
        ) from error
    classes = len(dataset.classes)
    if out.shape != (1, classes):
        raise ShapeError(
            f"model {name!r} gives {out} for one image of {size}; it should give one number for "
            f"each of the {classes} classes: float[1,{classes}]"
        )


def new_folder(settings: Settings, dataset: str) -> Path:
    """The first of runs/<data>-<model>-1, -2, … that is free, made: it is this run's alone."""
    kind = "-control" * settings.train.control + "-folds" * (
        settings.data.folds is not None and settings.data.fold is None
    )
    name = f"{dataset}-{settings.model.name}{kind}"
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")
    number = 1
    while True:
        folder = Path("runs") / f"{stem}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def check_folder(folder: Path, resume: bool) -> None:
    """An output folder is new or empty; one to resume holds a run."""
    if resume:
        if not (folder / RUN_FILE).is_file():
            raise ConfigError(f"--resume: {folder} holds no run; leave --resume out to start one")
        return
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"--out {folder}: it is a file, not a folder")
    if (folder / RUN_FILE).exists():
        raise ConfigError(
            f"--out {folder}: it holds another run; add --resume to go on with it, or choose "
            "another folder"
        )
    if any(folder.iterdir()):
        raise ConfigError(f"--out {folder}: the folder is not empty; choose a new one")


def same(stored: Settings, asked: Settings, keys: Iterable[str], folder: Path) -> None:
    """What a resumed run is asked for must be what it was started with."""
    for key in keys:
        then, now = _at(stored, key), _at(asked, key)
        if then != now:
            raise ConfigError(
                f"--resume: {key} is {then!r} in {folder / RUN_FILE}, and {now!r} is asked for "
                "now; a resumed run goes on as it began: leave that out, or start a new run"
            )


def _at(settings: Settings, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        if isinstance(value, Named) and name != "name":
            value = value.options.get(name)
        elif hasattr(value, name):
            value = getattr(value, name)
        else:
            raise ConfigError(f"no key {key}{near(name, ())}")
    path = key == "data.path" or (key == "transfer.weights" and value != transfer.PRETRAINED)
    return _absolute(value) if path and value is not None else value


def absolute(settings: Settings) -> Settings:
    """The same from every folder."""
    moved, data = settings.transfer, settings.data
    if data.path is not None:
        data = dataclasses.replace(data, path=_absolute(data.path))
    if moved is not None and moved.weights not in (None, transfer.PRETRAINED):
        moved = dataclasses.replace(moved, weights=_absolute(str(moved.weights)))
    return dataclasses.replace(settings, data=data, transfer=moved)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def dataset_of(data: str, assignments: Sequence[str] = ()) -> tuple[tg.Dataset, int]:
    """The images of a run folder, or those of a path or a name, and the seed: the walk "dataset".

    ``assignments`` are ``section.key=value`` as of ``--set``.
    """
    stored_at = Path(data) / RUN_FILE
    table: dict[str, Any] = {"data": {"name" if data in tg.datasets else "path": data}}
    if stored_at.is_file():
        table, data = runfile.read(stored_at), str(stored_at)
    origins = {}
    for text in assignments:
        key, value = runfile.assignment(text)
        runfile.put(table, key, value)
        origins[key] = f"--set {text}"
    settings = runfile.settings(table, origins, data)
    return feed.load(settings.data, settings.train.seed), settings.train.seed


def dataset_for(card: Card, settings: Settings, other: str | None) -> tg.Dataset:
    """The run's own data, or other data brought to the size that the model takes."""
    data = settings.data
    if other is not None:
        name, path = (other, None) if other in tg.datasets else (None, other)
        channels, *size = card.input
        data = Data(
            name=name,
            path=path,
            resize=tuple(size),
            channels=channels,
            workers=data.workers,
            cache=data.cache,
            options=data.options,
        )
    dataset = feed.load(data, settings.train.seed)
    if settings.train.control and other is None:
        dataset = control.permuted(dataset, settings.train.seed)
    if dataset.task != card.task:
        raise ConfigError(
            f"{dataset.name} is for {dataset.task}, and the model was trained for {card.task}"
        )
    if tuple(dataset.classes) != card.classes:
        raise ConfigError(
            f"{dataset.name} has the classes {', '.join(dataset.classes)}, and the model was "
            f"trained on {', '.join(card.classes)}; they must be the same, in the same order"
        )
    shape = tuple(dataset.images.shape[1:])
    if shape != card.input:
        raise ConfigError(
            f"{dataset.name} has images of {'×'.join(map(str, shape))}, and the model takes "
            f"{'×'.join(map(str, card.input))}"
        )
    return dataset
