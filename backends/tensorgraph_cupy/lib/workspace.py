"""Scratch memory for the libraries."""

from __future__ import annotations

from typing import Any


class Workspace:
    """For each stream that a device's calls are made on, one after the other, memory of its own. It
    grows and is never given back: a captured graph goes on using what it was captured with."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.kept: dict[int, list[Any]] = {}

    def address(self, size: int) -> int:
        """Where at least so many bytes are; 0 for none."""
        if not size:
            return 0
        kept = self.kept.setdefault(self.device.stream, [])
        if not kept or kept[-1].size < size:
            kept.append(self.device.allocate(size))
        return int(kept[-1].address)
