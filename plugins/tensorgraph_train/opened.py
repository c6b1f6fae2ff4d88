"""What other plugins open of a run folder: its model, its images, a step of its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg
from tensorgraph_train import answers, checkpoint, outcome, prepare, runfile
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
    model's size, which of them is white, and what the model is given (1, C, …)."""

    model: tg.Layer
    classes: tuple[str, ...]
    images: list[tuple[str, Any, float, Any]]


def inputs(folder: Path, paths: Sequence[Path]) -> Inputs:
    """The walk ``model_inputs``: what ``tensorgraph predict`` would give the model."""
    card, found = checkpoint.load_model(folder)
    options = answers.file_options(folder)
    read = [x for path in answers.files(paths) for x in answers.read(path, card, options)]
    given = [
        (x.name, np.asarray(x.dataset.images[[x.at]])[0], x.dataset.white, answers.given(x, card))
        for x in read
    ]
    return Inputs(found, card.classes, given)


def step(folder: Path) -> tuple[tg.Layer, Step, tuple[tg.Tensor, tg.Tensor]]:
    """The walk ``training_step``: the model, what its training does with a batch, and a batch.
    Nothing of it is written to the folder."""
    found = outcome.trained(folder)
    train = dataclasses.replace(found.settings.train, compile=False)  # the caller may compile it
    settings = dataclasses.replace(found.settings, train=train)
    run = Run(settings, found.feed, found.card, found.model.train())
    batch = run.train_indices[: train.batch_size]
    return found.model, run.step, (found.feed.images(batch), found.feed.labels(batch))
