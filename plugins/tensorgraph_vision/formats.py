"""What a format of image files is, and which of the registered ones reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import tensorgraph as tg
from tensorgraph.backend import imported
from tensorgraph.errors import PluginError


class Header(Protocol):
    """What a file says of itself before it is decoded; formats add what they need."""

    shape: tuple[int, ...]  # (H, W), or (D, H, W) of a volume
    channels: int  # 1, or 3 for RGB
    dtype: str  # of the pixels as they are stored: "uint8", "uint16" or "float32"
    white: float  # the pixel value that stands for 1.0
    group: str  # whom it shows, where the file says so, and "" where not: never an open name
    columns: Mapping[str, str | float]  # as of a ``Dataset``
    notes: tuple[str, ...]  # sentences that the user should read


class Format(Protocol):
    """Reads image files of one kind. Both raise ``DataError``, without the file's name, for what is
    not whole, and allocate no more than twice the file's size before they have seen that it is."""

    reads: str  # for messages: "a DICOM file"
    suffixes: tuple[str, ...]  # in lower case, with the dot: (".dcm",)

    def header(self, path: Path) -> Header: ...

    def pixels(self, path: Path, header: Header) -> Any:
        """A NumPy array of the header's shape and dtype, (…, 3) for RGB."""


class Formats:
    """The formats that are registered now: a file's suffix says which reads it.

    A format may have ``accepts(path)``: it is asked of files whose suffix no format claims.
    """

    def __init__(self) -> None:
        self.by_suffix: dict[str, Format] = {}
        self.by_content: list[Any] = []
        names: dict[str, str] = {}
        for name in tg.formats:
            found: Any = imported(tg.formats[name], f"format {name!r}")
            for suffix in found.suffixes:
                other = names.setdefault(suffix, name)
                if other != name:
                    raise PluginError(
                        f"{suffix} files are read by two formats, {other!r} and {name!r}; leave "
                        f"one out: TENSORGRAPH_DISABLE_PLUGINS={tg.formats.plugin_of(name)}"
                    )
                self.by_suffix[suffix] = found
            if hasattr(found, "accepts"):
                self.by_content.append(found)

    def of(self, path: Path) -> Format | None:
        """A suffix may have several dots, as .nii.gz has."""
        name = path.name.lower()
        at = name.find(".", 1)
        while at > 0:
            if name[at:] in self.by_suffix:
                return self.by_suffix[name[at:]]
            at = name.find(".", at + 1)
        return next((found for found in self.by_content if found.accepts(path)), None)

    @property
    def kinds(self) -> str:
        """The suffixes, for messages."""
        return ", ".join(suffix.lstrip(".") for suffix in self.by_suffix)


def is_image(path: Path) -> bool:
    return path.is_file() and Formats().of(path) is not None
