"""What a finished run says, written to its folder: its decision, figures and predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import ConfigError
from tensorgraph_train import (
    augment,
    checkpoint,
    control,
    likeness,
    prepare,
    requirements,
    runfile,
    scores,
    steps,
    storage,
)
from tensorgraph_train.checkpoint import Card
from tensorgraph_train.feed import Feed
from tensorgraph_train.runfile import Settings
from tensorgraph_train.steps import Step
from tensorgraph_train.training import Run


@dataclass(frozen=True)
class Trained:
    """A model with its best weights, and the images that it is asked about."""

    folder: Path
    card: Card
    settings: Settings
    model: tg.Layer
    infer: Step
    feed: Feed
    views: int = 0  # how many augmented ones of each image are asked about as well

    def outputs(self, indices: Any) -> Any:
        """What the model gives for these images (n, K); where there are other views of them, the
        mean over all."""
        train = self.settings.train
        feeds = augment.views(self.feed, train.augment, train.seed, self.views)
        return np.mean([scores.run(self.model, self.infer, f, indices)[0] for f in feeds], 0)

    def probabilities(self, indices: Any) -> Any:
        """Calibrated (n, K); of measured numbers the predictions (n,)."""
        outputs, decision = self.outputs(indices), self.card.decision or {}
        return scores.probabilities(outputs, self.card.task, decision.get("temperature", 1.0))

    def features(self, indices: Any) -> Any:
        """What the last layer with parameters is given for these images (n, features)."""
        heard, found = _LastInput(), []
        with tg.no_grad(), config.listen(heard):
            for batch in self.feed.batches(indices, scores.BATCH):
                self.model(self.feed.images(batch))
                found.append(heard.x.numpy().reshape(len(batch), -1))
        return np.concatenate(found)

    def settled_anew(self, rule: Mapping[str, float]) -> Trained:
        """The same with the threshold chosen on validation by another rule, and so stored."""
        held = self.feed.dataset.splits.get("val", ())
        if not len(held):
            raise ConfigError(f"{self.folder}: no validation images, so nothing to choose it on")
        wanted = dataclasses.replace(self.settings.evaluate, threshold=rule)
        decision = scores.settle(self.feed, self.outputs(held), held, wanted)
        card = dataclasses.replace(self.card, decision=decision)
        checkpoint.save_model(self.folder, card, checkpoint.host(self.model.state()))
        return dataclasses.replace(self, card=card)

    def on(self, images: Any) -> Trained:
        """The same, asked about other images in place of these, one for each."""
        dataset = dataclasses.replace(self.feed.dataset, images=images)
        return dataclasses.replace(self, feed=dataclasses.replace(self.feed, dataset=dataset))

    def write(self, name: str, text: str) -> None:
        """A file of the run folder, never seen half-written."""
        storage.write(self.folder / name, text.encode())

    def split(self, name: str | None) -> tuple[str, Any]:
        """The images of a split; unless one is named those of test, or else of val or train."""
        return split(self.feed.dataset, name)


class _LastInput(config.Listener):
    """Hears what layers are given, and keeps that of the last one with parameters."""

    x: Any = None

    def enter(self, layer: tg.Layer, x: tg.Tensor) -> None:
        if layer.own_parameters():
            self.x = x


def split(dataset: tg.Dataset, name: str | None) -> tuple[str, Any]:
    splits = {k: np.asarray(v) for k, v in dataset.splits.items() if len(v)}
    splits["all"] = np.arange(len(dataset.labels))
    if name is None:
        name = next(k for k in ("test", "val", "train") if k in splits)
    if name not in splits:
        raise ConfigError(f"--split {name}: {dataset.name} has {', '.join(splits)}")
    return name, splits[name]


def trained(folder: Path, data: str | None = None, compile: bool | None = None) -> Trained:
    """The model of a run folder on the run's own data, or on other data of its kind."""
    kinds = requirements.WITH_DATA if data is None else requirements.OF_MODEL
    stored_at = folder / prepare.RUN_FILE
    card, model = checkpoint.load_model(folder, kinds)
    settings = runfile.settings(runfile.read(stored_at), {}, str(stored_at))
    dataset = prepare.dataset_for(card, settings, data)
    workers = settings.data.workers
    feed = Feed(dataset, card.mean, card.std, card.dtype, card.target, workers)
    wanted = settings.train.compile if compile is None else compile
    return Trained(folder, card, settings, model, steps.inference(model, wanted), feed)


def written(run: Run) -> dict[str, Any]:
    """Settle on validation what test is judged by, judge it, and write all of that: the card,
    evaluation.json, predictions.csv."""
    wanted, data = run.settings.evaluate, run.feed.dataset
    name, indices = split(data, None)
    asked: dict[str, Any] = {"val": run.val_indices} if len(run.val_indices) else {}
    asked[name] = indices
    outputs = {k: scores.run(run.model, run.infer, run.feed, i)[0] for k, i in asked.items()}
    decision = scores.settle(run.feed, outputs.get("val"), run.val_indices, wanted)
    training_images = likeness.describe(run)
    run.card = dataclasses.replace(run.card, decision=decision, training_images=training_images)
    checkpoint.save_model(run.folder, run.card, run.best)
    evaluation = scores.evaluate(
        run.feed, outputs[name], indices, name, decision, wanted.prevalence
    )
    both = {k: (asked[k], given) for k, given in outputs.items() if k in ("val", "test")}
    scores.save_predictions(run.folder, run.feed, both, decision)
    evaluation |= control.mark(run.settings)
    scores.save(run.folder, evaluation)
    return evaluation
