"""The dataset ``plugin_name``."""

from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError

WHITE, SIZE = 255, 16


class PluginName:
    """Discs and squares of random size, place and brightness, in noise.

    It carries its own data: ``reads`` is empty and no path is accepted. A source that reads
    files says which in ``reads``, accepts their paths, and is given one of them by ``load``.
    """

    reads = ""

    def accepts(self, path: Path) -> bool:
        return False

    def load(
        self,
        path: Path | None,
        *,
        count: int = 1000,
        seed: int = 0,
        val: float = 0.1,
        test: float = 0.2,
        **options: Any,
    ) -> tg.Dataset:
        """``count`` images, of which ``val`` and ``test`` are the shares of two splits."""
        import numpy  # not before: registering a dataset imports no array library

        if min(val, test) < 0 or val + test >= 1:
            raise ConfigError(f"plugin_name: {val=} and {test=} leave nothing to train on")
        generator = numpy.random.default_rng(seed)
        row, column = numpy.ogrid[:SIZE, :SIZE]
        images = generator.integers(0, 64, (count, 1, SIZE, SIZE), "uint8")
        labels = numpy.arange(count) % 2
        for image, label in zip(images[:, 0], labels):
            radius = generator.uniform(3, 6)
            y, x = abs(row - generator.uniform(6, 10)), abs(column - generator.uniform(6, 10))
            inside = numpy.maximum(y, x) < radius if label else y**2 + x**2 < radius**2
            image[inside] += generator.integers(64, 192, dtype="uint8")
        order = generator.permutation(count)
        first, second = round(count * test), round(count * (test + val))
        test_part, val_part, train_part = numpy.split(order, [first, second])
        splits = {"train": train_part, "val": val_part, "test": test_part}
        classes = ("disc", "square")
        return tg.Dataset("plugin_name", images, WHITE, labels, classes, splits)
