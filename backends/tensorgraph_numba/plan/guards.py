"""Memory between bands of a pattern: where TENSORGRAPH_DEBUG is set, all that plans allocate."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

VARIABLE = "TENSORGRAPH_DEBUG"
BAND = 1 << 12  # bytes before and behind each array
LINE = 64
WORDS = BAND // 4 + LINE
PATTERN = np.full(WORDS, 0xFFFA5A5A, np.uint32).view(np.uint8)  # NaN in float32 and in float64

_kept: list[tuple[Any, int, int]] = []  # of each a weak reference; where the array begins and ends


def enabled() -> bool:
    """Whether plans that are made now check every call."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def guarded(size: int) -> Any:
    """So many bytes between bands, at a line of the cache; their values are not set."""
    whole = np.empty(size + 2 * BAND + LINE, np.uint8)
    start = BAND + -(whole.ctypes.data + BAND) % LINE
    for band in bands(whole, start, start + size):
        band[...] = PATTERN[: len(band)]
    _kept[:] = [each for each in _kept if each[0]() is not None]
    _kept.append((weakref.ref(whole), start, start + size))
    return whole[start : start + size]


def empty(shape: Sequence[int], dtype: str) -> Any:
    """A new array; between bands if need be."""
    if not enabled():
        return np.empty(shape, dtype)
    return guarded(math.prod(shape) * np.dtype(dtype).itemsize).view(dtype).reshape(shape)


def bands(whole: Any, start: int, stop: int) -> tuple[Any, Any]:
    """What lies before and behind an array."""
    return whole[:start], whole[stop:]


def damaged() -> Iterator[tuple[int, int, int]]:
    """For each array whose bands were written to: its address, its size, and how many bytes before
    it (below 0) or behind it that reaches. Mends the bands."""
    for reference, start, stop in _kept:
        whole = reference()
        if whole is None:
            continue
        for before, band in zip((True, False), bands(whole, start, stop), strict=True):
            wrong = band != PATTERN[: len(band)]
            if wrong.any():
                places = np.flatnonzero(wrong)
                band[...] = PATTERN[: len(band)]
                reach = int(places[0]) - start if before else int(places[-1]) + 1
                yield whole.ctypes.data + start, stop - start, reach
