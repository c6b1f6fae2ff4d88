"""The losses of the last steps, read together where to read one is to wait for the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_train import checkpoint
from tensorgraph_train.checkpoint import Progress

BEHIND = 16  # steps at most by which the host is ahead of what it knows


def values(losses: Sequence[tg.Tensor]) -> list[float]:
    """What tensors of one element hold, read together."""
    if len(losses) < 2:
        return [x.item() for x in losses]
    with tg.no_grad():
        found: list[float] = tg.ops.stack(losses).numpy().tolist()
    return found


class Losses:
    """``value`` is the loss that was read last."""

    def __init__(self) -> None:
        waits = getattr(tg.config.get_backend(), "asynchronous", False)
        self.behind = BEHIND if waits else 1
        self.unread: list[tuple[tg.Tensor, int]] = []  # and how large the batches were
        self.value = math.nan

    def add(self, loss: tg.Tensor, size: int) -> None:
        self.unread.append((loss, size))

    def read(self, progress: Progress) -> bool:
        """Add them up; whether they are finite. From the first on that is not, nothing counts."""
        for value in values([loss for loss, _ in self.unread]):
            self.value = value
            if not math.isfinite(self.value):
                return False
            _, size = self.unread.pop(0)
            progress.loss_sum += self.value * size
            progress.seen += size
        return True


def diverged(run: Any, loss: float, where: object) -> str:
    """What to say of a run whose loss is no longer finite, and of the op where that began."""
    progress = run.progress
    state = checkpoint.host(run.model.state())
    spoilt = [k for k, x in state.items() if x.dtype.kind == "f" and not np.isfinite(x).all()]
    after = f" ({', '.join(spoilt[:3])} since the update before)" if spoilt else ""
    kept = (
        f"The weights of epoch {progress.best_epoch} are kept in {run.folder}"
        if progress.best_epoch
        else "No epoch was finished, so no weights are kept"
    )
    return (
        f"the loss is {loss} in epoch {progress.epoch + 1}, batch "
        f"{progress.batch + 1} of {run.batches}, and the run is stopped: "
        f"{where or 'each op of it was finite when it was run again'}{after}. Lower "
        f"train.optimizer.lr (it is {run.optimizer.lr:g}) or set train.clip_norm. {kept}"
    )
