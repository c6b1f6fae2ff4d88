"""Dataset and Source: what image sources hand over, and the training loop takes."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tensorgraph.errors import DataError, PluginError


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with labels, and which of them are for what.

    images   (N, C, H, W), or (N, C, D, H, W); raw values: a NumPy array, or, where they are decoded
             on access, an object with ``shape``, ``len`` and indexing by an integer array
    white    the raw value that stands for 1.0: 255 for 8 bits, 65535 for 16
    labels   NumPy int64 (N,), indices into ``classes``; None where nobody knows them
    splits   "train", "val", "test" → integer indices; sources without an official split make one
    groups   NumPy array (N,) of what must not be torn apart (the patient), or None
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
    names: Sequence[str] = ()
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Reads datasets of one kind. ``path`` is None for a source that carries its own data."""

    reads: str  # what paths it reads, for messages: "a folder with a subfolder per class"

    def accepts(self, path: Path) -> bool: ...

    def load(self, path: Path | None, **options: Any) -> Dataset:
        """``options``: ``seed``; ``val`` and ``test`` (fractions, where no split is official);
        ``resize`` ((height, width) or None) and ``channels`` (1, 3 or None)."""


def resolve_source(data: str, sources: Mapping[str, Source]) -> tuple[Source, Path | None]:
    """The source that ``data`` means: a registered name, or a path that one source reads."""
    if data in sources:
        return sources[data], None
    path = Path(data).expanduser()
    if not path.exists():
        beside = [str(p) for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(data, [*sources, *beside], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{data!r} is neither a path that exists nor the name of a dataset{hint}")
    if path.is_dir() and not any(path.iterdir()):
        raise DataError(f"{path} is an empty folder; put images into it, a subfolder per class")
    found = {name: source for name, source in sources.items() if source.accepts(path)}
    if len(found) > 1:
        raise PluginError(f"{path} is read by several sources: {', '.join(found)}; disable one")
    if not found:
        kinds = "; ".join(dict.fromkeys(s.reads for s in sources.values() if s.reads))
        raise DataError(f"{path} is of no kind that is read, which are: {kinds}")
    return next(iter(found.values())), path
