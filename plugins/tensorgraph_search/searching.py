"""The search itself: which trials are trained for how long, and which of them go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorgraph.errors import ConfigError
from tensorgraph_search.engines import ENGINES
from tensorgraph_search.space import Space, space
from tensorgraph_search.trial import Trainings, Trial

DEFAULTS = {"trials": 20, "engine": "random", "halving": None, "seed": 0, "over": {}}


@dataclass(frozen=True)
class Plan:
    """``halving``: of each round the best 1 in so many goes on, to that many times the epochs."""

    space: Space
    epochs: int
    trials: int
    engine: str
    halving: int | None
    seed: int

    def rounds(self) -> list[tuple[int, int]]:
        """Epochs in all, and number of trials, of each round; the last is of full length."""
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
    factor = found["halving"]
    if factor is not None and factor > min(found["trials"], epochs):
        raise ConfigError(
            f"search.halving = {factor}; it takes at least so many trials and epochs, and there "
            f"are {found['trials']} trials of {epochs} epochs; leave it out for random search"
        )
    keys = space(found["over"])
    if "train.epochs" in keys:
        raise ConfigError("search.over: train.epochs is what the search itself sets; leave it out")
    return Plan(keys, epochs, found["trials"], found["engine"], found["halving"], found["seed"])


def search(plan: Plan, trainings: Trainings, tell: Callable[[list[Trial]], None]) -> list[Trial]:
    """What each trial gave in each round, as it came; ``tell`` hears of all after each.

    Successive halving (Jamieson and Talwalkar, 2016): the best of a round go on where they are.
    """
    done: list[Trial] = []
    chosen: list[Trial] = []
    for i, (epochs, count) in enumerate(plan.rounds()):
        before, chosen = sorted(chosen, key=_order)[:count], []
        for k in range(count if i == 0 else len(before)):
            if i:
                number, values = before[k].number, before[k].values
            else:
                told = [(t.values, t.goodness) for t in done if not t.failed]
                number = k + 1
                values = ENGINES[plan.engine](plan.space, plan.seed, number, told)
            first = all(t.failed for t in done)
            done.append(trainings.run(number, epochs, values, first))
            chosen += [t for t in done[-1:] if not t.failed]
            tell(done)
    return done


def _order(t: Trial) -> tuple[float, int]:
    """The best first; among equals the earlier."""
    return -t.goodness, t.number


def ranked(done: list[Trial]) -> list[Trial]:
    """Each trial as it was last: those trained longest first, of these the best, and at the end
    those that failed."""
    last = {t.number: t for t in done}.values()
    return sorted(last, key=lambda t: (bool(t.failed), -t.epochs, *_order(t)))
