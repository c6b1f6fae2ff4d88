"""What a trained model says of image files: calibrated, decided, and whether they are like those
that it was trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError
from tensorgraph_train import augment, checkpoint, likeness, prepare, runfile, scores
from tensorgraph_train.checkpoint import Card
from tensorgraph_train.feed import Feed
from tensorgraph_train.runfile import Settings, Train

BATCH = 32
UNCERTAIN = "uncertain"
OF_FILES = ("window", "slices", "bits")  # options of the run's reader that change what is read


class Image(NamedTuple):
    """An image as the model takes it, and what its file was before."""

    name: str
    dataset: tg.Dataset
    at: int  # in the dataset: a volume may be read as slices
    size: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Answer:
    """``said`` is a class, labels joined by " | ", or "uncertain"; of measured numbers the number.

    ``figures`` are calibrated probabilities by class, or the number by its name; ``unlike`` says
    in what the image is unlike the training images.
    """

    image: str
    said: str
    figures: dict[str, float]
    unlike: tuple[str, ...]


def files(paths: Sequence[Path]) -> list[Path]:
    """The images among these, and all in those that are folders."""
    source = tg.datasets["image"]
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [p for p in sorted(path.rglob("*")) if source.accepts(p)]
        if not inside:
            raise DataError(f"{path} is a folder in which no image was found")
        found += inside
    return found


def answers(
    folder: Path, paths: Sequence[Path], abstain: float | None, views: int = 0
) -> Iterator[Answer]:
    """What the model of a run folder says of each image, asked about so many augmented ``views`` of
    it as well."""
    card, model = checkpoint.load_model(folder)
    if abstain is not None and card.task == "regression":
        raise ConfigError(
            f"--abstain: the model of {folder} predicts a number, {card.classes[0]}, and no "
            "probabilities; leave it out"
        )
    settings = settings_of(folder)
    options = file_options(settings)
    ask = _Ask(card, model, settings.train, views)
    waiting: list[Image] = []
    for path in files(paths):
        waiting += read(path, card, options)
        while len(waiting) >= BATCH:
            yield from _asked(card, ask, waiting[:BATCH], abstain)
            del waiting[:BATCH]
    if waiting:
        yield from _asked(card, ask, waiting, abstain)


def described(folder: Path, paths: Sequence[Path]) -> tuple[list[str], Any, Any]:
    """The walk ``unlabelled``: of each image its name, what the model says of it (n, K), and the
    features by which it says so (n, F)."""
    card, model = checkpoint.load_model(folder)
    settings = settings_of(folder)
    options, ask = file_options(settings), _Ask(card, model, settings.train, 0)
    images = [image for path in files(paths) for image in read(path, card, options)]
    found = [_figures(card, ask, images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    p, features = (np.concatenate(part) for part in zip(*found, strict=True))
    return [image.name for image in images], p, features


def settings_of(folder: Path) -> Settings:
    """Those that the run file in the folder gives, the defaults where there is none."""
    path = folder / prepare.RUN_FILE
    return runfile.settings(runfile.read(path), {}, str(path)) if path.exists() else Settings()


def file_options(settings: Settings) -> dict[str, Any]:
    """The options of the run's reader that change what is read from a file."""
    return {k: v for k, v in (settings.data.options or {}).items() if k in OF_FILES}


class _Ask:
    """A model that is asked about augmented views as well. Those of all images are changed alike:
    an answer does not depend on what else is asked about."""

    def __init__(self, card: Card, model: tg.Layer, train: Train, views: int) -> None:
        augment.check_views(train.augment, views)
        self.model, self.seed, self.views = model, train.seed, views
        self.look = likeness.looking(model)
        self.change = augment.Augmentations(train.augment, card.mean, card.std, len(card.classes))

    def __call__(self, x: tg.Tensor) -> tuple[Any, Any]:
        """The outputs, and the features that the image itself has."""
        outputs, own = likeness.features(self.look, x)
        every, alike = [outputs], np.zeros(len(outputs), np.int64)
        with tg.no_grad():
            for number in range(self.views):
                changed = self.change.images(x, augment.keys(self.seed, number, alike))
                every.append(self.model(changed).numpy())
        return np.mean(every, 0), own


def read(path: Path, card: Card, options: dict[str, Any]) -> Iterator[Image]:
    """The images of a file, as the model takes them."""
    channels, *size = card.input
    source = tg.datasets["image"]
    own = source.load(path, **options)
    one = source.load(path, resize=tuple(size), channels=channels, **options)
    for at in range(len(one.images)):
        yield Image(str(one.names[at]), one, at, tuple(own.images.shape[2:]))


def given(image: Image, card: Card) -> Any:
    """What the model is given for an image (1, C, …)."""
    return Feed(image.dataset, card.mean, card.std, card.dtype).images(np.array([image.at])).numpy()


def _asked(
    card: Card, ask: _Ask, images: Sequence[Image], abstain: float | None
) -> Iterator[Answer]:
    p, own = _figures(card, ask, images)
    for image, row, features in zip(images, p, own, strict=True):
        unlike: list[str] = []
        if card.training_images is not None:
            raw, white = np.asarray(image.dataset.images[[image.at]])[0], image.dataset.white
            unlike = likeness.warnings(card.training_images, image.size, white, raw, features)
        figures = dict(zip(card.classes, map(float, row), strict=True))
        yield Answer(image.name, decided(card, row, abstain), figures, tuple(unlike))


def _figures(card: Card, ask: _Ask, images: Sequence[Image]) -> tuple[Any, Any]:
    """Calibrated probabilities (n, K), or measured numbers (n, 1), and features (n, F)."""
    decision = card.decision or {}
    inputs = [given(x, card) for x in images]
    outputs, own = ask(tg.tensor(np.concatenate(inputs)))
    found = scores.finite(outputs)
    if card.task == "regression":
        found = found * card.target[1] + card.target[0]
    p = scores.probabilities(found, card.task, decision.get("temperature", 1.0))
    return p.reshape(len(images), -1), own


def decided(card: Card, row: Any, abstain: float | None) -> str:
    """The answer to probabilities (K,), with the threshold settled on validation.

    Below ``abstain`` it is "uncertain": Chow's (1970) rule, which of all rules that refuse as many
    images leaves the fewest errors, if the probabilities are true.
    """
    threshold = (card.decision or {}).get("threshold")
    if card.task == "regression":
        return f"{row[0]:.6g}"
    if card.task == "multilabel":
        limits = [(threshold or {}).get(name, 0.5) for name in card.classes]
        unsure = abstain is not None and bool((np.maximum(row, 1 - row) < abstain).any())
        shown = [name for name, p, t in zip(card.classes, row, limits, strict=True) if p >= t]
        return UNCERTAIN if unsure else " | ".join(shown) or "none"
    best = int(row.argmax())
    if threshold is not None and len(card.classes) == 2:
        one = card.classes.index((card.decision or {})["positive"])
        best = one if row[one] >= threshold else 1 - one
    if abstain is not None and row[best] < abstain:
        return UNCERTAIN
    return card.classes[best]
