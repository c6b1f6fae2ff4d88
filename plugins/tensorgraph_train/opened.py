"""What other plugins open of a run: its model, its images, what augmentation makes of them, a step
of its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_train import (
    answers,
    augment,
    checkpoint,
    feed,
    outcome,
    prepare,
    runfile,
    transfer,
)
from tensorgraph_train.steps import Step
from tensorgraph_train.training import Run


def model(folder: Path) -> tg.Layer:
    """The walk ``trained_model``: the model, ready to predict."""
    return checkpoint.load_model(folder)[1]


def images(folder: Path) -> tg.Dataset:
    """The walk ``run_images``: the run's own data, as its model takes them."""
    card, _ = checkpoint.read_model(folder)
    stored_at = folder / prepare.RUN_FILE
    settings = runfile.settings(runfile.read(stored_at), {}, str(stored_at))
    return prepare.dataset_for(card, settings, None)


class Inputs(NamedTuple):
    """A model and image files: ``images`` holds of each its name, its raw values (C, …) in the
    model's size, which of them is white, and what the model is given (1, C, …); ``said`` what
    ``tensorgraph predict`` says of each."""

    model: tg.Layer
    classes: tuple[str, ...]
    images: list[tuple[str, Any, float, Any]]
    said: list[str]


def inputs(folder: Path, paths: Sequence[Path]) -> Inputs:
    """The walk ``model_inputs``: what ``tensorgraph predict`` would give the model."""
    card, found = checkpoint.load_model(folder)
    options = answers.file_options(answers.settings_of(folder))
    read = [x for path in answers.files(paths) for x in answers.read(path, card, options)]
    given = [
        (x.name, np.asarray(x.dataset.images[[x.at]])[0], x.dataset.white, answers.given(x, card))
        for x in read
    ]
    said = [answer.said for answer in answers.answers(folder, paths, None)]
    return Inputs(found, card.classes, given, said)


def step(folder: Path) -> tuple[tg.Layer, Step, tuple[tg.Tensor, tg.Tensor]]:
    """The walk ``training_step``: the model, what its training does with a batch in the first
    epoch, and a batch. Frozen parts run too, though their features may be kept in training.
    Nothing of it is written to the folder."""
    found = outcome.trained(folder)
    train = dataclasses.replace(found.settings.train, compile=False)  # the caller may compile it
    asked = found.settings.transfer
    if asked is not None:
        asked = dataclasses.replace(asked, weights=None)  # the run's own are loaded
    settings = dataclasses.replace(found.settings, train=train, transfer=asked)
    frozen = transfer.begun(settings, found.model)
    run = Run(settings, found.feed, found.card, found.model.train(), frozen)
    if frozen is not None:
        frozen.begin(0)
    batch = run.train_indices[: train.batch_size]
    return found.model, run.step, (found.feed.images(batch), found.feed.labels(batch))


def augmented(run: Path, count: int) -> tuple[Any, list[tuple[str, Any]]]:
    """The walk ``augmented``: some training images of a run file (n, C, H, W), white being 1, and
    for each augmentation its name with its options, and what it makes of them."""
    settings = runfile.settings(runfile.read(run), {}, str(run))
    train = settings.train
    chosen = tuple(map(augment.resolve, train.augment))
    if not chosen:
        raise ConfigError(
            f"{run}: {augment.WHERE} names none; known: {', '.join(tg.augmentations)}; choose with "
            f'{augment.WHERE} = [{{name = "rotate"}}]'
        )
    dataset = feed.load(settings.data, train.seed)
    known = np.asarray(dataset.splits["train"])
    indices = known[np.linspace(0, len(known) - 1, min(count, len(known))).astype(int)]
    x = tg.tensor((np.asarray(dataset.images[indices]) / dataset.white).astype("float32"))
    channels, keys = x.shape[1], augment.keys(train.seed, 0, indices)
    labels = tg.tensor(np.zeros((len(indices), 1), "float32"))  # only images are looked at
    found = []
    for named in chosen:
        change = augment.Augmentations([named], (0.0,) * channels, (1.0,) * channels, 1)
        own = {k: v for k, v in named.options.items() if k != augment.KNOWINGLY}
        options = ", ".join(f"{k} = {v}" for k, v in own.items())
        found.append((f"{named.name}: {options}", change(x, labels, keys)[0].numpy()))
    return x.numpy(), found
