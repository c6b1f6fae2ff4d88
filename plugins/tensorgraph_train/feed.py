"""From raw images to the batches that a model takes, in an order that can be resumed."""

from __future__ import annotations

import dataclasses
import functools
import math
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError
from tensorgraph_train.runfile import Data

ORDER_STREAM = 1 << 31  # the high word of the streams of data order: no other draw has it
CHUNK, PIXELS = 1024, 1 << 24  # images, and values of images, that are looked at together
AHEAD = 2  # batches that are read before they are needed


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
        "workers": data.workers,
        "cache": int(data.cache * 2**30),
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
    """Mean and standard deviation of each channel over the training images, white being 1. Images
    that are read when they are needed are all looked at: one that cannot be is known before
    anything is written."""
    count: int = 0
    total: Any = 0.0
    squares: Any = 0.0
    for part, indices in dataset.splits.items():
        if part != "train" and isinstance(dataset.images, np.ndarray):
            continue
        for raw in _chunks(dataset, np.asarray(indices)):
            if part == "train":
                x = np.asarray(raw, np.float64) / dataset.white
                axes = (0, *range(2, x.ndim))
                count += x.size // x.shape[1]
                total = total + x.sum(axes)
                squares = squares + np.square(x).sum(axes)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
    std = np.where(std > 1e-6, std, 1.0)  # a channel that never varies stays as it is
    return tuple(mean.tolist()), tuple(std.tolist())


def _chunks(dataset: tg.Dataset, indices: Any) -> Iterator[Any]:
    """The images, so many at a time as memory surely has room for."""
    size = max(1, min(CHUNK, PIXELS // math.prod(dataset.images.shape[1:])))
    for start in range(0, len(indices), size):
        yield _read(dataset, indices[start : start + size])


def _read(dataset: tg.Dataset, indices: Any) -> Any:
    """Raises ``DataError`` where a value is not finite."""
    raw = np.asarray(dataset.images[indices])
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        first = int(np.argmin(np.isfinite(raw).reshape(len(raw), -1).all(1)))
        names = dataset.names
        name = names[indices[first]] if len(names) else f"image {indices[first]}"
        raise DataError(f"{dataset.name}: {name} has NaN or infinity among its values")
    return raw


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


def _apart() -> bool:
    """Whether images are copied to a device with memory of its own. They are scaled there then: of
    a picture in bytes the copy takes a quarter of the time."""
    return getattr(tg.config.get_backend(), "apart", False)


@dataclasses.dataclass(frozen=True)
class Feed:
    """Gives a dataset's images as a model takes them: scaled so that white is 1, then
    standardised per channel; and the labels as a loss takes them."""

    dataset: tg.Dataset
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str
    target: tuple[float, float] = (0.0, 1.0)  # mean and standard deviation of measured numbers
    workers: int | None = None  # 0: nothing is read ahead

    @property
    def spec(self) -> tg.Spec:
        """That of one image, as a batch of one."""
        return tg.Spec((1, *self.dataset.images.shape[1:]), self.dtype)

    def images(self, indices: Any) -> tg.Tensor:
        """A batch (n, C, H, W), or (n, C, D, H, W)."""
        raw = _read(self.dataset, indices)
        return self._scaled(tg.tensor(raw)) if _apart() else tg.tensor(self._scaled_here(raw))

    def ahead(self, batches: Iterable[Any]) -> Iterator[tuple[Any, tg.Tensor]]:
        """Each batch of indices with its images, which were read while others were computed on."""
        for indices, found in self._reading(batches, not _apart()):
            x = tg.tensor(found)
            yield indices, self._planned(x) if _apart() else x

    def _reading(self, batches: Iterable[Any], scaled: bool) -> Iterator[tuple[Any, Any]]:
        """Each batch of indices with its images as NumPy has them."""

        def read(indices: Any) -> Any:
            raw = _read(self.dataset, indices)
            return self._scaled_here(raw) if scaled else raw

        if self.workers == 0 or isinstance(self.dataset.images, np.ndarray):
            yield from ((indices, read(indices)) for indices in batches)
            return
        reading: deque[tuple[Any, Future[Any]]] = deque()
        pool = ThreadPoolExecutor(1)  # the images themselves are decoded by more
        try:
            for indices in batches:
                reading.append((indices, pool.submit(read, indices)))
                if len(reading) > AHEAD:
                    first, found = reading.popleft()
                    yield first, found.result()
            for indices, found in reading:
                yield indices, found.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _scaled_here(self, raw: Any) -> Any:
        per_channel = (1, -1, *(1,) * (raw.ndim - 2))
        mean = np.reshape(np.array(self.mean), per_channel)
        scale = np.reshape(np.array(self.std), per_channel)
        x = raw.astype(self.dtype)
        x /= self.dataset.white
        x -= mean.astype(self.dtype)
        x /= scale.astype(self.dtype)
        return x

    def _scaled(self, raw: tg.Tensor) -> tg.Tensor:
        """The same numbers, computed where the batch is."""
        x = tg.ops.cast(raw, dtype=self.dtype)
        per_channel = (-1, *(1,) * (x.ndim - 2))
        mean, scale = (
            tg.ops.reshape(x.constant(list(values)), shape=per_channel)
            for values in (self.mean, self.std)
        )
        return (x / self.dataset.white - mean) / scale

    @functools.cached_property
    def _planned(self) -> Callable[[tg.Tensor], tg.Tensor]:
        """For batch after batch: one pass over it."""
        return tg.compile(self._scaled)

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
