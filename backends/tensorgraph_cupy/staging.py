"""Large arrays from the host to the GPU while it computes: two pinned buffers and a stream for it.

A copy from pinned memory on a stream of its own runs beside the step that came before. What it
fills is the buffer of a slot; the array that is handed out is filled from that on the main stream,
in order with all that uses it, and its memory is therefore free when the main stream says so.
"""

from __future__ import annotations

import functools
import math
import threading
from typing import Any

import numpy

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.arrays import Arrays

LARGE = 1 << 16  # bytes: smaller ones are copied by the driver without waiting anyway


class Slot:
    """A buffer on either side. ``filled``: an event after which the host may write to its side
    again; ``taken``: one after which the device may."""

    def __init__(self, device: Device, size: int) -> None:
        self.size = size
        self.host = device.pinned(size)
        self.memory = device.allocate(size)
        self.filled: Any = None
        self.taken: Any = None


class Staging:
    """Two slots, in turn."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.slots: list[Slot] = []
        self._lock = threading.Lock()

    @functools.cached_property
    def beside(self) -> Device:
        return self.arrays.device.beside()

    def array(self, data: Any, dtype: str) -> Any:
        """A new array of the device's with the values of NumPy's."""
        kind = numpy.dtype(dtype)
        size = math.prod(data.shape) * kind.itemsize
        main, beside = self.arrays.device, self.beside
        out = self.arrays.xp.empty(data.shape, kind)
        with self._lock:
            slot = self._next(size)
            if slot.filled is not None:
                beside.finish(slot.filled)
            held = slot.host[:size]
            numpy.copyto(held.view(kind).reshape(data.shape), data, casting="unsafe")
            if slot.taken is not None:
                beside.wait(slot.taken)
            beside.copy_in(slot.memory.address, held)
            slot.filled = beside.record()
            main.wait(slot.filled)
            main.copy(self.arrays.address(out), slot.memory.address, size)
            slot.taken = main.record()
        return out

    def _next(self, size: int) -> Slot:
        """The slot that was used longest ago, or a larger one in its place."""
        slot = self.slots.pop(0) if len(self.slots) == 2 else None
        if slot is None or slot.size < size:
            if slot is not None and slot.taken is not None:
                self.beside.finish(slot.taken)  # before its memory goes
            slot = Slot(self.beside, size)  # whose stream the first one to touch it is
        self.slots.append(slot)
        return slot
