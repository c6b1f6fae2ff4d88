"""What both formats share: packages that may be missing, headers, and arrays read from streams."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.errors import DataError

CHUNK = 1 << 20


class Header(NamedTuple):
    """What a file says of itself before it is decoded.

    window  (centre, width) of the values that the file wants shown as black to white, or None
    more    what the format needs for reading the pixels
    """

    shape: tuple[int, ...]
    channels: int
    dtype: str
    white: float
    group: str
    columns: Mapping[str, str | float]
    notes: tuple[str, ...]
    window: tuple[float, float] | None
    more: Any = None


def package(name: str) -> Any:
    """The package that reads the format, or an error that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"is read by {name.partition('.')[0]}, which is not here: "
            f"pip install 'tensorgraph[medical]' ({error})"
        ) from None


def fill(stream: Any, out: Any) -> None:
    """Read an array's bytes, a chunk at a time: nothing is held twice."""
    view, at = memoryview(out.reshape(-1).view(np.uint8)), 0
    while at < len(view):
        got = stream.readinto(view[at : at + CHUNK])
        if not got:
            raise DataError(
                f"is damaged or cut short: {len(view) - at} bytes of pixels are missing"
            )
        at += got
