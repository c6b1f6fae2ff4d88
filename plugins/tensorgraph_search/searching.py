"""The search itself: which trials are trained for how long, and which of them go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorgraph.errors import ConfigError
from tensorgraph_search import trial
from tensorgraph_search.engines import ENGINES
from tensorgraph_search.space import Space, space
from tensorgraph_search.trial import Trial

DEFAULTS = {"trials": 20, "engine": "random", "halving": None, "seed": 0, "over": {}}


@dataclass(frozen=True)
class Plan:
    """``halving``: of each round the best 1 in so many goes on, that many times as long."""

    space: Space
    epochs: int
    trials: int
    engine: str
    halving: int | None
    seed: int

    def rounds(self) -> list[tuple[int, int]]:
        """Epochs and number of trials of each round; the last is of full length."""
        factor, count = self.halving, 0
        if factor is not None:
            longest = min(self.trials, self.epochs)
            while factor ** (count + 1) <= longest:
                count += 1
        return [
            (max(1, self.epochs // (factor or 1) ** (count - i)), self.trials // (factor or 1) ** i)
            for i in range(count + 1)
        ]


def plan(table: Mapping[str, Any]) -> Plan:
    """From the tables of a run file."""
    asked = table.get("search")
    if not isinstance(asked, dict):
        raise ConfigError(
            "search: the run file has no section [search]; write the keys to search over in "
            '[search.over], such as "train.optimizer.lr" = {low = 1e-4, high = 1e-2, log = true}'
        )
    unknown = next((key for key in asked if key not in DEFAULTS), None)
    if unknown is not None:
        raise ConfigError(f"no key search.{unknown}. Known: {', '.join(DEFAULTS)}")
    found = {**DEFAULTS, **asked}
    for key, least in (("trials", 1), ("halving", 2), ("seed", 0)):
        value = found[key]
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(
                f"search.{key} = {value!r}; it takes a whole number, at least {least}"
            )
    if found["engine"] not in ENGINES:
        raise ConfigError(
            f"search.engine = {found['engine']!r}; it takes one of {', '.join(ENGINES)}"
        )
    if not isinstance(found["over"], dict):
        raise ConfigError("search.over is not a table; write [search.over]")
    epochs = table.get("train", {}).get("epochs")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ConfigError("search: set train.epochs in the run file: how long the best is trained")
    keys = space(found["over"])
    if "train.epochs" in keys:
        raise ConfigError("search.over: train.epochs is what the search itself sets; leave it out")
    return Plan(keys, epochs, found["trials"], found["engine"], found["halving"], found["seed"])


def search(plan: Plan, base: Path, out: Path, tell: Callable[[list[Trial]], None]) -> list[Trial]:
    """All trials in the order in which they ran; ``tell`` hears of them after each.

    Every round trains anew: a schedule such as the cosine is of a length, and half of a long run is
    not a short one.
    """
    done: list[Trial] = []
    chosen: list[tuple[int, Mapping[str, Any]]] = []
    for i, (epochs, count) in enumerate(plan.rounds()):
        before, chosen = _best(done, chosen, count), []
        for k in range(count):
            if i:
                number, values = before[k]
            else:
                told = [(t.values, t.goodness) for t in done if math.isfinite(t.goodness)]
                number = k + 1
                values = ENGINES[plan.engine](plan.space, plan.seed, number, told)
            chosen.append((number, values))
            done.append(trial.run(base, number, epochs, values, out))
            tell(done)
    return done


def _best(
    done: list[Trial], chosen: list[tuple[int, Mapping[str, Any]]], count: int
) -> list[tuple[int, Mapping[str, Any]]]:
    """Of the last round; among equals the earlier."""
    last = done[len(done) - len(chosen) :]
    ranked = sorted(last, key=lambda t: (-t.goodness, t.number))
    return [(t.number, t.values) for t in ranked[:count]]


def ranked(done: list[Trial]) -> list[Trial]:
    """The best first, and those that were trained longer before the others."""
    return sorted(done, key=lambda t: (-t.epochs, -t.goodness, t.number))
