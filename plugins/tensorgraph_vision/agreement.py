"""What the headers of many files agree on, so that their images can lie in one array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.errors import ConfigError, DataError
from tensorgraph_vision.formats import Header
from tensorgraph_vision.pixels import check_options, check_rank, white_of


class Options(NamedTuple):
    """How the images of files are brought to one form.

    window   (centre, width) of the values that become 0 to 1, or "file": each file's own
    slices   the axis (0, 1 or 2) along which volumes are cut into flat images
    bits     16: images of 8 bits are scaled to 16 where both occur
    """

    resize: Any = None
    channels: Any = None
    window: Any = None
    slices: Any = None
    bits: Any = None

    def checked(self) -> Options:
        resize, channels = check_options(self.resize, self.channels)
        window = self.window
        if window is not None and window != "file":
            if not isinstance(window, list | tuple) or len(window) != 2 or not _above(window[1]):
                raise ConfigError(
                    f'window is [centre, width], two numbers, or "file", not {window!r}'
                )
            window = (float(window[0]), float(window[1]))
        if self.slices not in (None, 0, 1, 2):
            raise ConfigError(
                f"slices is the axis along which volumes are cut, 0, 1 or 2, not {self.slices!r}"
            )
        if self.bits not in (None, 16):
            raise ConfigError(f"bits is 16, or left out, not {self.bits!r}")
        return Options(resize, channels, window, self.slices, self.bits)

    def flat(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one image of a file of this shape."""
        if self.slices is None or len(shape) == 2:
            return shape
        return shape[: self.slices] + shape[self.slices + 1 :]

    def count(self, shape: tuple[int, ...]) -> int:
        """How many images a file of this shape gives."""
        return 1 if self.slices is None or len(shape) == 2 else shape[self.slices]


class Form(NamedTuple):
    """What every image becomes."""

    size: tuple[int, ...]
    channels: int
    dtype: Any
    white: float
    notes: list[str]


def _above(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def form(headers: Sequence[Header], names: Sequence[str], options: Options) -> Form:
    """Where the files differ more than can be bridged, an error names two of them."""
    if options.window == "file":
        for name, header in zip(names, headers):
            if getattr(header, "window", None) is None:
                raise DataError(
                    f"{name} says no window; give one, such as --set data.options.window=[40,400]"
                )
    size = _size(headers, names, options)
    dtype, white = _values(headers, names, options)
    colours, n = sum(h.channels == 3 for h in headers), len(headers)
    notes = [*dict.fromkeys(note for h in headers for note in h.notes)]
    if 0 < colours < n and options.channels is None:
        notes.insert(0, f"{colours} of {n} images are in colour; the grey ones are read as RGB.")
    if options.window is not None:
        dtype, white = np.dtype(np.float32), 1.0
    return Form(size, options.channels or (3 if colours else 1), dtype, white, notes)


def _size(headers: Sequence[Header], names: Sequence[str], options: Options) -> tuple[int, ...]:
    shapes = [options.flat(h.shape) for h in headers]
    flat, volume = _two(shapes, len)
    if volume is not None:
        raise DataError(
            f"{names[flat]} and {names[volume]} have images of {len(shapes[flat])} and of "
            f"{len(shapes[volume])} dimensions; cut volumes into flat images with "
            "--set data.options.slices=0, or keep the two apart"
        )
    check_rank(options.resize, shapes[0])
    if options.resize is not None:
        size: tuple[int, ...] = options.resize
        return size
    first, other = _two(shapes, lambda shape: shape)
    most = shapes[first]
    if other is not None:
        given, found = ("x".join(map(str, shapes[i])) for i in (first, other))
        axes = "height x width" if len(most) == 2 else "depth x height x width"
        fit = [224, 224] if len(most) == 2 else [32, 32, 32]
        fit = list(most) if max(most) <= (256 if len(most) == 2 else 64) else fit
        raise DataError(
            f"images of different sizes: {names[first]} is {given} and {names[other]} is {found} "
            f"({axes}); bring all to one, for example with --set data.resize={fit}"
        )
    return most


def _values(headers: Sequence[Header], names: Sequence[str], options: Options) -> tuple[Any, float]:
    """The dtype of all, and its white; values are scaled where only the whites differ."""
    first, other = _two(headers, lambda h: h.dtype)
    if other is None:
        whites = {h.white for h in headers}
        dtype = np.dtype(headers[0].dtype)
        return dtype, whites.pop() if len(whites) == 1 else white_of(dtype)
    a, b = headers[first], headers[other]
    if "float32" in (a.dtype, b.dtype):
        raise DataError(
            f"images of different kinds: {names[first]} has {a.dtype} values and {names[other]} "
            f"{b.dtype}, which are on no common scale; keep them apart"
        )
    if options.bits != 16:
        raise DataError(
            f"images of different bit depths: {names[first]} has {_bits(a)} bits and "
            f"{names[other]} {_bits(b)}; save all with one, or scale them to 16 with "
            "--set data.options.bits=16"
        )
    return np.dtype(np.uint16), white_of(np.uint16)


def _bits(header: Header) -> int:
    return 8 * np.dtype(header.dtype).itemsize


def _two(items: Sequence[Any], key: Callable[[Any], Any]) -> tuple[int, int | None]:
    """The first item of the most frequent key, and the first of another key, if there is one."""
    keys = [key(item) for item in items]
    most = Counter(keys).most_common(2)
    first = keys.index(most[0][0])
    return first, keys.index(most[1][0]) if len(most) > 1 else None


def groups(headers: Sequence[Header]) -> tuple[list[str], list[str]]:
    """Whom each file shows, and what is to be said of it; all "" where no file says it."""
    known = [h.group for h in headers]
    lacking = sum(not group for group in known)
    if lacking == len(known) or not lacking:
        return known, []
    given = [group or f"file {i}" for i, group in enumerate(known)]
    return given, [
        f"{lacking} of {len(known)} files do not say whom they show; each is taken for somebody "
        "else's."
    ]


def columns(tables: Sequence[Any]) -> dict[str, Any]:
    """Of a table for each file an array for each column: numbers where all that is there is one."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(key for table in tables for key in table):
        cells = [table.get(name, "") for table in tables]
        try:
            found[name] = np.array([np.nan if c == "" else float(c) for c in cells])
        except ValueError:
            found[name] = np.array([str(c) for c in cells])
    return found
