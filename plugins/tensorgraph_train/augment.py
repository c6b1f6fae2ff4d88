"""The augmentations of a run: chosen in its run file, drawn for each image in each epoch, applied
before the step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import ConfigError
from tensorgraph_train import parts, steps
from tensorgraph_train.feed import Feed
from tensorgraph_train.runfile import Named, Train

STREAM = 1 << 30  # with the epoch, the high word of the streams of augmentations
WHERE = "train.augment"
KNOWINGLY = "knowingly"


def resolve(named: Named) -> Named:
    """The same with every option written out; one that asks for care must have been chosen
    knowingly."""
    factory = tg.augmentations[named.name]
    own = {k: v for k, v in named.options.items() if k != KNOWINGLY}
    said = named.options.get(KNOWINGLY, False)
    if not isinstance(said, bool):
        raise ConfigError(f"{WHERE}.{KNOWINGLY} = {said!r}; it takes true or false")
    caution = getattr(factory, "caution", None)
    if caution is not None and not said:
        raise ConfigError(
            f"{WHERE}: {named.name} asks to be chosen knowingly: {caution}. Where that does not "
            f'matter in your images, say so: {{name = "{named.name}", {KNOWINGLY} = true}}'
        )
    found = parts.resolve(tg.augmentations, WHERE, Named(named.name, own))
    return Named(found.name, {**found.options, **({KNOWINGLY: True} if said else {})})


def mixing(chosen: Iterable[Named]) -> bool:
    """Whether any of them mixes images, and with them labels."""
    return any(getattr(tg.augmentations[named.name], "mixes", False) for named in chosen)


def repeats(order: Any) -> Any:
    """How often each image of an epoch came before in it: 0 but where classes are balanced."""
    by = np.argsort(order, kind="stable")
    first = np.searchsorted(order[by], order[by])
    found = np.empty(len(order), np.int64)
    found[by] = np.arange(len(order)) - first
    return found


def keys(seed: int, epoch: int, samples: Any, draw: int = 0) -> tg.Tensor:
    """The keys (n, 4) of these samples in an epoch, others for each ``draw`` below 64: they depend
    on nothing else."""
    words = np.empty((len(samples), 4), np.uint32)
    words[:, 0], words[:, 1] = seed & 0xFFFFFFFF, seed >> 32
    words[:, 2], words[:, 3] = samples, STREAM | draw << 24 | epoch
    return tg.tensor(words)


class Augmentations:
    """What is made of a run's choice: changes of batches as models take them."""

    def __init__(
        self,
        chosen: Sequence[Named],
        mean: Sequence[float],
        std: Sequence[float],
        classes: int,
    ) -> None:
        self.mean, self.std, self.classes = mean, std, classes
        self.made: list[Any] = []
        for named in chosen:
            options = {k: v for k, v in named.options.items() if k != KNOWINGLY}
            self.made.append(parts.make(tg.augmentations, WHERE, Named(named.name, options)))
        self.mixes = [getattr(tg.augmentations[named.name], "mixes", False) for named in chosen]

    def check(self, image: tg.Spec, n: int) -> None:
        """Change a batch that has no values yet: what does not suit such images says so now."""
        batch = tg.Spec((n, *image.shape[1:]), image.dtype)
        x, key = (tg.Tensor(None, ABSTRACT, s) for s in (batch, tg.Spec((n, 4), "uint32")))
        with tg.no_grad():
            self.images(x, key)

    def images(self, x: tg.Tensor, keys: tg.Tensor) -> tg.Tensor:
        """A batch changed by all that leave labels as they are."""
        return self._changed(x, None, keys)[0]

    def __call__(self, x: tg.Tensor, y: tg.Tensor, keys: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        """A batch and its labels, where images are mixed those of classes as shares (n, K)."""
        return self._changed(x, y, keys)

    def _changed(self, x: tg.Tensor, y: Any, keys: tg.Tensor) -> tuple[tg.Tensor, Any]:
        per_channel = (-1, *[1] * (x.ndim - 2))
        mean, std = (
            tg.ops.reshape(x.constant(list(values)), shape=per_channel)
            for values in (self.mean, self.std)
        )
        n, count = x.shape[0], len(self.made)
        words = tg.ops.random_bits_each(keys, shape=(n, count, 4))
        x = x * std + mean  # augmentations take white as 1 and black as 0
        for i, (augment, mixes) in enumerate(zip(self.made, self.mixes, strict=True)):
            if not mixes:
                x = augment(x, words[:, i])
            elif y is not None:
                x, shares = augment(x, words[:, i])
                y = shares @ self._shares_of_classes(y, x.dtype)
        return (x - mean) / std, y

    def _shares_of_classes(self, y: tg.Tensor, dtype: str) -> tg.Tensor:
        if y.ndim == 2:  # several labels, measured numbers, or mixed before
            return y
        return tg.ops.one_hot(y, num_classes=self.classes, dtype=dtype)


def before_step(train: Train, images: Feed, labels: bool = True) -> steps.Step | None:
    """What changes each batch before the step, in a plan of its own: the step's is laid out for its
    convolutions; without ``labels``, images alone. None where nothing was chosen."""
    if not train.augment:
        return None
    change = Augmentations(train.augment, images.mean, images.std, len(images.dataset.classes))
    change.check(images.spec, train.batch_size)
    return steps.compiled(change if labels else change.images, train.compile)


@dataclasses.dataclass(frozen=True)
class View(Feed):
    """A feed whose images are changed, each by its own key and the number of the view."""

    change: Augmentations | None = None
    seed: int = 0
    number: int = 0

    def ahead(self, batches: Iterable[Any]) -> Iterator[tuple[Any, tg.Tensor]]:
        for indices, x in super().ahead(batches):
            if self.change is not None:
                x = self.change.images(x, keys(self.seed, self.number, indices))
            yield indices, x


def check_views(chosen: Sequence[Named], count: int) -> None:
    """Views of single images take an augmentation of single images."""
    if count and all(getattr(tg.augmentations[named.name], "mixes", False) for named in chosen):
        raise ConfigError(
            f"--views {count}: the run was trained with no augmentation of single images, so there "
            f"are no other views of an image; leave --views out, or train with {WHERE}"
        )


def views(feed: Feed, chosen: Sequence[Named], seed: int, count: int) -> list[Feed]:
    """The feed, and so many views of it, for the mean of what a model says of all."""
    check_views(chosen, count)
    own = {field.name: getattr(feed, field.name) for field in dataclasses.fields(Feed)}
    change = Augmentations(chosen, feed.mean, feed.std, len(feed.dataset.classes))
    return [feed, *(View(**own, change=change, seed=seed, number=i) for i in range(count))]
