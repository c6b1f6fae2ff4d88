"""Scratch memory for the libraries."""

from __future__ import annotations

from typing import Any


class Workspace:
    """For each stream that a device's calls are made on, one after the other, memory of its own. It
    grows and is never given back: a captured graph goes on using what it was captured with. Who
    knows before what will be asked for says so, that it need not grow."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.kept: dict[int, list[Any]] = {}
        self.most = 0

    def expect(self, size: int) -> None:
        """So many bytes will be asked for."""
        self.most = max(self.most, size)

    def address(self, size: int) -> int:
        """Where at least so many bytes are; 0 for none."""
        if not size:
            return 0
        kept = self.kept.setdefault(self.device.stream, [])
        if not kept or kept[-1].size < size:
            kept.append(self.device.allocate(max(size, self.most)))
        return int(kept[-1].address)
