"""A kernel at one shape in one precision: what it moves, how it is made ready, how it is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bench.cuda.counts import rated
from bench.cuda.ground import L2, OWN, Ground, Trial, middle


class Case(NamedTuple):
    """``make`` allocates one set of arrays, with new random values.

    ``product``: whether its limit is that of matrix products, and not only of copies. ``first``:
    whether it is among those to be timed before all others.
    """

    kind: str
    shape: str
    precision: str
    bytes: int
    flops: int
    make: Callable[[Ground], Trial]
    product: bool = False
    first: bool = False

    @property
    def row(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "by": OWN,
            "shape": self.shape,
            "precision": self.precision,
            "bytes": self.bytes,
            "flops": self.flops,
        }


def timed(ground: Ground, case: Case, limits: Mapping[str, float]) -> dict[str, Any]:
    """The row of a case. Its first results are compared before anything is timed."""
    if ground.torch is not None:
        ground.round_as(case.precision)
    trials = [case.make(ground)]
    error = difference(ground, trials[0])
    trials += [case.make(ground) for _ in range(ground.sets(case.bytes) - 1)]
    runners = [ground.ours([trial.ours for trial in trials])]
    theirs = [trial.theirs for trial in trials if trial.theirs is not None]
    if ground.torch is not None and theirs:
        runners.append(ground.theirs(theirs))
    readings = ground.interleaved(runners)
    medians = [middle(each) for each in readings]
    known = limits if case.product else {"copy": limits["copy"]} if "copy" in limits else {}
    row = rated(
        case.row,
        medians[0],
        theirs=medians[1] if len(medians) > 1 else None,
        error=error,
        limits=known,
    )
    in_cache = len(trials) * case.bytes < 2 * L2
    row["by"] = trials[0].by
    return {**row, "in_cache": in_cache, "graphs": [runner.graph for runner in runners]}


def difference(ground: Ground, trial: Trial) -> float | None:
    """How far the results are from PyTorch's, of which nothing was run yet; None without it, and
    where the two cannot be the same."""
    trial.ours(ground.device)
    ground.synchronize()
    if ground.torch is None or trial.theirs is None or not trial.outs:
        return None
    found = trial.theirs()
    ground.synchronize()
    found = found if isinstance(found, tuple | list) else (found,)
    pairs = zip(trial.outs, found, strict=True)
    return max(ground.error(ours, theirs) for ours, theirs in pairs)
