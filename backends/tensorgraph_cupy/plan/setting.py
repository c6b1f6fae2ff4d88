"""What a plan is made for: how values are stored, how factors are rounded, with which libraries."""

from __future__ import annotations

from collections.abc import Callable

from tensorgraph.program import Value
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.lib import MissingError
from tensorgraph_cupy.plan.layout import Layout
from tensorgraph_cupy.plan.tasks import Launch, Places

Make = Callable[[Places], Launch]
STORED = ("float32", "bfloat16")


class Setting:
    """What rules ask: how values are stored, how products are rounded, what libraries there are."""

    def __init__(
        self, device: Device, arithmetic: str, layout: Layout, storage: dict[Value, str]
    ) -> None:
        self.device = device
        self.layout = layout
        self.arithmetic = arithmetic
        self.storage = storage

    def stored(self, value: Value) -> str:
        return self.storage.get(value, value.spec.dtype)

    def has(self, library: str) -> bool:
        try:
            self.device.library(library)
        except MissingError:
            return False
        return True

    def floating(self, *values: Value) -> str | None:
        """The dtype of storage of all of these; None where it is not one that kernels have."""
        kinds = {self.stored(x) for x in values}
        return kinds.pop() if len(kinds) == 1 and kinds <= set(STORED) else None
