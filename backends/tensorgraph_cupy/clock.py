"""The GPU's own clock: events between which the device counts the time."""

from __future__ import annotations

from typing import Any


class EventClock:
    """A reading waits for what was launched before it, and gives the seconds since the first.

    CUDA gives the milliseconds between two events as a float32, which is too coarse where they lie
    far apart: so the times from one reading to the next are added up.
    """

    def __init__(self, cuda: Any) -> None:
        self.cuda = cuda
        number = cuda.Device().id
        self.device = cuda.runtime.getDeviceProperties(number)["name"].decode()
        self.seconds = 0.0
        self.last = self._event()

    def __call__(self) -> float:
        event = self._event()
        self.seconds += self.cuda.get_elapsed_time(self.last, event) / 1e3
        self.last = event
        return self.seconds

    def _event(self) -> Any:
        event = self.cuda.Event()
        event.record()
        event.synchronize()
        return event
