"""A callback that brings images which nobody has labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError


class Unlabelled:
    """Adds ``images``, files or folders, to those without a label: for the callbacks after it."""

    def __init__(self, images: Sequence[str] = ()) -> None:
        self.images = [Path(path).expanduser() for path in images]
        if not self.images:
            raise ConfigError('unlabelled: say which: images = ["films/"], files or folders')

    def on_start(self, run: Any) -> None:
        import numpy as np

        from tensorgraph_labelling import pool

        dataset = run.feed.dataset
        raw = self._read(run.card.input, dataset.white).astype(dataset.images.dtype)
        n = len(dataset.labels)
        splits = {
            **dataset.splits,
            pool.UNLABELLED: np.concatenate([pool.unlabelled(run), n + np.arange(len(raw))]),
        }
        none = np.zeros((len(raw), *dataset.labels.shape[1:]), dataset.labels.dtype)
        labels = np.concatenate([dataset.labels, none])  # which nobody reads: no part has them
        pool.change(run, images=pool.Joined(dataset.images, raw), labels=labels, splits=splits)
        run.source = run.feed

    def _read(self, size: tuple[int, ...], white: float) -> Any:
        """All of them (n, C, H, W), as the run's own images are."""
        import numpy as np

        source, found = tg.datasets["image"], []
        for path in self.images:
            inside = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in inside if not path.is_dir() else filter(source.accepts, inside):
                one = source.load(file, resize=size[1:], channels=size[0])
                found.append(np.asarray(one.images[np.arange(len(one.images))]) * white / one.white)
        if not found:
            raise DataError(f"unlabelled: no image was found in {', '.join(map(str, self.images))}")
        return np.concatenate(found)
