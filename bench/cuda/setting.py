"""What a section of the GPU benchmark is given: the device or its rehearsal, and how long it may
take."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorgraph as tg


@dataclass(frozen=True)
class Setting:
    """A section offers ``run(setting, note)``: it measures, and notes each row as it has it.

    ``emulated``: a rehearsal on this machine's processor, whose times mean nothing. ``small``: the
    smallest sizes and fewest rounds that still go through everything. ``deadline``: the
    ``time.monotonic()`` by which to be done; what does not fit is noted as ``{"left_out": …}``.
    ``data``: a folder with the images of MNIST and PneumoniaMNIST, where one was given.
    """

    emulated: bool
    small: bool
    deadline: float
    data: Path | None = None

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def backend(self) -> Any:
        """The backend "cupy", in use from now on: the GPU's, or in a rehearsal the emulated one."""
        backend = _emulated() if self.emulated else tg.config.get_backend("cupy")
        tg.use(backend="cupy")
        return backend

    def torch(self) -> tuple[Any, str] | None:
        """PyTorch, and the name of its device; None where it is not installed, lacks a library or
        sees no GPU: rows beside it are left out then."""
        try:
            import torch
        except (ImportError, OSError):
            return None
        if self.emulated:
            return torch, "cpu"
        return (torch, "cuda") if torch.cuda.is_available() else None

    def text(self) -> str:
        """What another process makes the same of: ``Setting.read(text)``."""
        data = str(self.data) if self.data else None
        return json.dumps([self.emulated, self.small, self.deadline, data])

    @classmethod
    def read(cls, text: str) -> Setting:
        emulated, small, deadline, data = json.loads(text)
        return cls(emulated, small, deadline, Path(data) if data else None)


@functools.cache
def _emulated() -> Any:
    """The emulated backend takes the place of the GPU's; tests/ is on the path."""
    from emulated_backend import EmulatedBackend

    backend = tg.plugins._backends["cupy"] = EmulatedBackend()
    for notify in tg.plugins.on_change:  # kernels that were chosen before are forgotten
        notify()
    return backend
