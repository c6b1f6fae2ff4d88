"""Memory that stays with the process: a training step asks for the same arrays again and again."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

import numpy

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
KEPT_BYTES = 1 << 28
LARGEST_BYTES = 1 << 25  # glibc takes no more

_scratch = threading.local()


def keep_freed_memory() -> bool:
    """Have glibc keep up to 256 MiB that arrays gave back, instead of returning it to the system.

    Otherwise each array from 128 KiB on is mapped afresh, and the first touch of each of its pages
    faults: a quarter of the time of a small network's training step. Leaves alone what the user
    has set (``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_THRESHOLD_``) and other C libraries; returns
    whether it did anything.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    try:
        if not os.confstr("CS_GNU_LIBC_VERSION"):
            return False
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, ValueError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


def give_back() -> None:
    """Return to the system what was freed: a plan's arrays are mapped afresh, and would come on top
    of all that the step took when it was recorded."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def scratch(shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory of this thread, to be used until the next call: never return it from a kernel."""
    count = 1
    for n in shape:
        count *= n
    kept = _scratch.__dict__.get(dtype)
    if kept is None or kept.size < count:
        kept = _scratch.__dict__[dtype] = numpy.empty(count, dtype)
    return kept[:count].reshape(shape)
