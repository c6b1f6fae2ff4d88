"""Dataset and Source: what image sources hand over, and the training loop takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path  # slow to import


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with labels, and which of them are for what.

    images   (N, C, H, W), or (N, C, D, H, W); raw values: a NumPy array, or, where they are decoded
             on access, an object with ``shape``, ``len`` and indexing by an integer array
    white    the raw value that stands for 1.0: 255 for 8 bits, 65535 for 16
    labels   NumPy int64 (N,), indices into ``classes``; or 0 and 1, uint8 (N, K), for each of the K
             ``classes``, of which an image may show several; or measured numbers, float64 (N,);
             None where nobody knows them
    classes  their names; of measured numbers one, that of the quantity
    splits   "train", "val", "test" → integer indices; sources without an official split make one
    groups   NumPy array (N,) of what must not be torn apart (the patient), or None
    columns  what else is known of each image, by name, such as "site", "device", "sex" or "age":
             a NumPy array (N,) of texts, "" where it is not known, or of numbers, NaN likewise
    names    one per image, for messages: a path, or "train[17]"
    notes    sentences that the user should read before training
    """

    name: str
    images: Any
    white: float
    labels: Any
    classes: tuple[str, ...]
    splits: Mapping[str, Any]
    groups: Any = None
    columns: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    names: Sequence[str] = ()
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """What is learnt: "classification", "multilabel" or "regression"."""
        if self.labels is None or self.labels.dtype.kind == "i":
            return "classification"
        return "regression" if self.labels.dtype.kind == "f" else "multilabel"


class Source(Protocol):
    """Reads datasets of one kind. ``path`` is None for a source that carries its own data."""

    reads: str  # what paths it reads, for messages: "a folder with a subfolder per class"

    def accepts(self, path: Path) -> bool: ...

    def load(self, path: Path | None, **options: Any) -> Dataset:
        """``options``: ``seed``; ``val`` and ``test`` (fractions, where no split is official);
        ``resize`` ((height, width) or None) and ``channels`` (1, 3 or None)."""
