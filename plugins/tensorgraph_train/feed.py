"""From raw images to the batches that a model takes, in an order that can be resumed."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError
from tensorgraph_train.runfile import Data

ORDER_STREAM = 1 << 31  # the high word of the streams of data order: no other draw has it
CHUNK = 1024  # images looked at together


def load(data: Data, seed: int) -> tg.Dataset:
    """The dataset that a run file names; labelled, and with something to train on."""
    from tensorgraph_train.sources import resolve_source

    if data.fold is not None and data.folds is None:
        raise ConfigError(f"data.fold = {data.fold}: say of how many: --set data.folds=5")
    anew = data.group is not None or data.folds is not None  # what is not official is split here
    options = {
        "seed": seed,
        "val": 0.0 if anew else data.val,
        "test": 0.0 if anew else data.test,
        "resize": data.resize,
        "channels": data.channels,
        **(data.options or {}),
    }
    if data.name is not None:
        named = {data.name: tg.datasets[data.name]}
        source, path = resolve_source(data.path or data.name, named)
    elif data.path is not None:
        source, path = resolve_source(data.path, tg.datasets)
    else:
        raise ConfigError("data: say which with --data PATH or NAME, or data.path in the run file")
    dataset: tg.Dataset = source.load(path, **options)
    if dataset.labels is None:
        raise DataError(f"{dataset.name}: the images have no labels, so nothing can be learnt")
    if len(dataset.classes) < 2 and dataset.task == "classification":
        only = dataset.classes[0] if dataset.classes else "none"
        raise DataError(f"{dataset.name}: one class ({only}); it takes two to tell them apart")
    if not len(dataset.splits.get("train", ())):
        raise DataError(f"{dataset.name}: the split 'train' is empty; lower data.val or data.test")
    if anew:
        fractions = {"val": data.val, "test": data.test}
        folds = {"folds": data.folds, "number": data.fold}
        found: tg.Dataset = tg.plugins.walk(
            "split", dataset, seed=seed, group=data.group, **fractions, **folds
        )
        return found
    return dataset


def fingerprint(dataset: tg.Dataset) -> str:
    """Changes when labels, classes or splits do: a resumed run must see the same data."""
    code = zlib.crc32("\0".join(dataset.classes).encode())
    code = zlib.crc32(np.ascontiguousarray(dataset.labels).tobytes(), code)
    for name in sorted(dataset.splits):
        code = zlib.crc32(np.ascontiguousarray(dataset.splits[name], np.int64).tobytes(), code)
    return f"{len(dataset.labels)}-{code:08x}"


def statistics(dataset: tg.Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over the training images, white being 1."""
    indices = np.asarray(dataset.splits["train"])
    count: int = 0
    total: Any = 0.0
    squares: Any = 0.0
    for start in range(0, len(indices), CHUNK):
        x = np.asarray(dataset.images[indices[start : start + CHUNK]], np.float64) / dataset.white
        axes = (0, *range(2, x.ndim))
        count += x.size // x.shape[1]
        total = total + x.sum(axes)
        squares = squares + np.square(x).sum(axes)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
    std = np.where(std > 1e-6, std, 1.0)  # a channel that never varies stays as it is
    return tuple(mean.tolist()), tuple(std.tolist())


def scale(dataset: tg.Dataset) -> tuple[float, float]:
    """Mean and standard deviation of the training labels, where they are measured numbers; a model
    learns them in these units, so that one learning rate does for ages and for millilitres."""
    if dataset.task != "regression":
        return 0.0, 1.0
    own = np.asarray(dataset.labels[dataset.splits["train"]], np.float64)
    return float(own.mean()), float(own.std()) or 1.0


def order(n: int, seed: int, epoch: int) -> Any:
    """The order of the images in an epoch: it depends on the seed and the epoch, nothing else."""
    key = tg.tensor([seed & 0xFFFFFFFF, seed >> 32, epoch, ORDER_STREAM], dtype="uint32")
    return tg.ops.permutation(n, key=key).numpy()


@dataclasses.dataclass(frozen=True)
class Feed:
    """Gives a dataset's images as a model takes them: scaled so that white is 1, then
    standardised per channel; and the labels as a loss takes them."""

    dataset: tg.Dataset
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str
    target: tuple[float, float] = (0.0, 1.0)  # mean and standard deviation of measured numbers

    @property
    def spec(self) -> tg.Spec:
        """That of one image, as a batch of one."""
        return tg.Spec((1, *self.dataset.images.shape[1:]), self.dtype)

    def images(self, indices: Any) -> tg.Tensor:
        """A batch (n, C, H, W). Raises ``DataError`` where a value is not finite."""
        raw = np.asarray(self.dataset.images[indices])
        if raw.dtype.kind == "f" and not np.isfinite(raw).all():
            first = int(np.argmin(np.isfinite(raw).reshape(len(raw), -1).all(1)))
            names = self.dataset.names
            name = names[indices[first]] if len(names) else f"image {indices[first]}"
            raise DataError(f"{self.dataset.name}: {name} has NaN or infinity among its values")
        per_channel = (1, -1, *(1,) * (raw.ndim - 2))
        mean = np.reshape(np.array(self.mean), per_channel)
        scale = np.reshape(np.array(self.std), per_channel)
        x = raw.astype(self.dtype)
        x /= self.dataset.white
        x -= mean.astype(self.dtype)
        x /= scale.astype(self.dtype)
        return tg.tensor(x)

    def labels(self, indices: Any) -> tg.Tensor:
        """Class numbers (n,); or 0 and 1 (n, K); or measured numbers (n, 1), standardised."""
        own = np.asarray(self.dataset.labels[indices])
        if self.dataset.task == "classification":
            return tg.tensor(own.astype(np.int64))
        if self.dataset.task == "regression":
            own = ((own - self.target[0]) / self.target[1])[:, None]
        return tg.tensor(own.astype(self.dtype))

    def measured(self, outputs: Any) -> Any:
        """What a model gives, of measured numbers in their own units."""
        if self.dataset.task != "regression":
            return outputs
        return outputs * self.target[1] + self.target[0]

    def batches(self, indices: Any, size: int) -> Iterator[Any]:
        """The indices, ``size`` at a time."""
        for start in range(0, len(indices), size):
            yield indices[start : start + size]
