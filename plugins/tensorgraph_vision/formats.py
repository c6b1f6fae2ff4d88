"""Which of the registered formats reads a file: its suffix says it, or else what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.backend import imported
from tensorgraph.data import Format
from tensorgraph.errors import PluginError


class Formats:
    """The formats that are registered now.

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
