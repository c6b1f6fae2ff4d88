"""How like the training images an image is: its size, depth and intensity, and the distance of its
features.

The distance is that of Lee et al. (2018): Mahalanobis', from the nearest class, of the last feature
map averaged over the image (without one, of what the last layer with parameters is given), under
one covariance for all classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph import config
from tensorgraph_train import feed, steps
from tensorgraph_train.steps import Step
from tensorgraph_train.training import Run

SAMPLE = 2000  # images looked at, of train and of val
BATCH = 64
WIDTH = 128  # features kept; of wider layers several are added up, with signs
CLASSES = 50  # with more, all are taken for one
RIDGE = 1e-3  # of the mean variance, added to every one: or a dead feature would be infinitely far
QUANTILE = 0.99  # of the validation images' distances: farther is unlike


class _Features(config.Listener):
    """Listens to a forward pass for the last feature map and the last input of a layer."""

    def __init__(self) -> None:
        self.map: Any = None
        self.last: Any = None

    def enter(self, layer: tg.Layer, x: tg.Tensor) -> None:
        if layer.own_parameters():
            self.last = x

    def leave(self, layer: tg.Layer, out: tg.Tensor) -> None:
        if len(out.shape) > 3:
            self.map = out


def looking(model: tg.Layer) -> Step:
    """Of a batch what the model gives (n, K), and its last feature map averaged over each image, or
    what its last layer with parameters is given (n, …)."""

    def look(x: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        heard = _Features()
        with config.listen(heard):
            outputs = model(x)
        if heard.map is not None:
            return outputs, tg.ops.mean(heard.map, axis=tuple(range(2, heard.map.ndim)))
        return outputs, x if heard.last is None else heard.last

    return look


def features(look: Step, x: tg.Tensor) -> tuple[Any, Any]:
    """What the model gives for a batch (n, K), and its features (n, at most ``WIDTH``)."""
    with tg.no_grad():
        outputs, found = look(x)
    own = found.numpy().astype(np.float64)
    return outputs.numpy(), narrowed(own.reshape(len(own), -1))


def narrowed(found: Any) -> Any:
    """At most ``WIDTH`` columns: feature hashing (Weinberger et al. 2009), the same everywhere."""
    columns = found.shape[1]
    if columns <= WIDTH:
        return found
    mixed = np.arange(columns, dtype=np.uint64) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)
    place = (mixed >> np.uint64(16)) % np.uint64(WIDTH)
    signs = np.where(mixed >> np.uint64(5) & np.uint64(1), 1.0, -1.0)
    out = np.zeros((WIDTH, len(found)))
    np.add.at(out, place.astype(np.int64), (found * signs).T)
    return out.T


def intensity(raw: Any, white: float) -> tuple[Any, Any]:
    """Mean and standard deviation of each image's values, white being 1."""
    x = raw.reshape(len(raw), -1).astype(np.float64) / white
    return x.mean(1), x.std(1)


def describe(run: Run) -> dict[str, Any]:
    """What the card keeps of the training images, once training has ended; bounded in size."""
    dataset = run.feed.dataset
    train, held = _sample(run, run.train_indices), _sample(run, run.val_indices)
    if not len(held):  # without validation images some of train stand in
        held, train = np.split(train, [max(1, len(train) // 10)])
    train = train if len(train) else held
    brightness, contrast, own = _looked_at(run, train)
    classes = np.zeros(len(train), np.int64)
    if dataset.task == "classification" and len(dataset.classes) <= CLASSES:
        classes = np.asarray(dataset.labels)[train]
    means = np.stack([own[classes == c].mean(0) for c in np.unique(classes)])
    away = own - means[np.searchsorted(np.unique(classes), classes)]
    covariance = away.T @ away / len(away)
    covariance += RIDGE * max(np.trace(covariance) / len(covariance), 1e-12) * np.eye(own.shape[1])
    found = {
        "images": len(train),
        "size": None if run.settings.data.resize else list(run.card.input[1:]),
        "white": dataset.white,
        "brightness": _rounded([brightness.min(), brightness.max()]),
        "contrast": _rounded([contrast.min(), contrast.max()]),
        "means": _rounded(means),
        "covariance": _rounded(covariance),
    }
    distances = distance(found, _looked_at(run, held)[2])
    return {**found, "far": _rounded(np.quantile(distances, QUANTILE))}


def _sample(run: Run, indices: Any) -> Any:
    """Up to ``SAMPLE`` of these images, chosen by the run's seed."""
    if not len(indices):
        return indices
    order = feed.order(len(indices), run.settings.train.seed, 0)
    return np.sort(indices[order[:SAMPLE]])


def _looked_at(run: Run, indices: Any) -> tuple[Any, Any, Any]:
    """Brightness, contrast and features of these images."""
    run.model.eval()
    planned = run.settings.train.compile
    planned = planned and steps.pays(run.model, run.feed.spec, len(indices), BATCH)
    look = steps.compiled(looking(run.model), planned)
    parts = list(_batches(run, look, indices))
    run.model.train()
    brightness, contrast, own = (np.concatenate(part) for part in zip(*parts, strict=True))
    return brightness, contrast, own


def _batches(run: Run, look: Step, indices: Any) -> Iterator[tuple[Any, Any, Any]]:
    dataset = run.feed.dataset
    for batch in run.feed.batches(indices, BATCH):
        raw = np.asarray(dataset.images[batch])
        yield *intensity(raw, dataset.white), features(look, run.feed.images(batch))[1]


def _rounded(x: Any) -> Any:
    """As many digits as float32 has: the card is read by people too."""
    return [_rounded(y) for y in x] if np.ndim(x) else float(f"{x:.6g}")


def distance(training: Mapping[str, Any], own: Any) -> Any:
    """Mahalanobis' distance (n,) of features from the nearest class."""
    means = np.array(training["means"])
    half = np.linalg.cholesky(np.linalg.inv(np.array(training["covariance"])))
    away = (own[:, None] - means[None]) @ half
    return np.sqrt(np.square(away).sum(2)).min(1)


def warnings(
    training: Mapping[str, Any], size: tuple[int, ...], white: float, raw: Any, own: Any
) -> list[str]:
    """In what an image is unlike the training images: sentences, none if it is like them.

    ``size`` and ``white`` are those of the file, ``raw`` (C, H, W) and ``own``, its features, those
    of the image as the model was given it, its white being that of the file.
    """
    said = []
    if training["size"] is not None and tuple(training["size"]) != size:
        here, there = ("×".join(map(str, x)) for x in (size, training["size"]))
        said.append(f"its size is {here}, that of the training images {there}")
    if white != training["white"]:
        said.append(f"it has {_depth(white)}, the training images have {_depth(training['white'])}")
    for what, value in zip(("brightness", "contrast"), intensity(raw[None], white), strict=True):
        low, high = training[what]
        if not low <= float(f"{value[0]:.6g}") <= high:
            said.append(f"its {what} is {value[0]:.4g}, theirs is {low:.4g} … {high:.4g}")
    far = float(distance(training, own[None])[0])
    if far > training["far"]:
        said.append(
            f"its features are {far:.3g} away from theirs, farther than {QUANTILE:.0%} of the "
            f"validation images ({training['far']:.3g})"
        )
    return said


def _depth(white: float) -> str:
    return {255.0: "8 bits", 65535.0: "16 bits"}.get(float(white), "floating-point values")
