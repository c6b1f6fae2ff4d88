"""A callback that interrupts a training after some of its epochs, to be resumed or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorgraph.errors import TensorgraphError


class PausedError(TensorgraphError, RuntimeError):
    """The run file asked for a pause."""


class Pause:
    """Stops the run after each of the epochs ``at``. Unlike a shorter training it is a part of the
    long one: its schedule is that of all epochs, and resumed it goes on as if never stopped."""

    def __init__(self, at: Sequence[int] = ()) -> None:
        self.at = at

    def on_epoch(self, run: Any, record: dict[str, Any]) -> None:
        if record["epoch"] in self.at:
            run.save()
            go_on = f"tensorgraph train --resume --out {run.folder}"
            raise PausedError(f"paused after epoch {record['epoch']}; go on with: {go_on}")
