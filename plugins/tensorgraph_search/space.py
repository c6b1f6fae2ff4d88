"""What may be tried: the ranges of a run file, and values drawn from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tensorgraph.errors import ConfigError

OPTIONS = {"low", "high", "log", "whole"}
TAKES = "a list of values, or {low = …, high = …} with log = true or whole = true if wanted"


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]

    def draw(self, random: Random) -> Any:
        return random.choice(self.values)


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both in; ``log``: each power of ten is as likely."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, random: Random) -> float:
        if self.whole and not self.log:
            return random.randint(int(self.low), int(self.high))
        if not self.log:
            return random.uniform(self.low, self.high)
        value = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        value = min(max(value, self.low), self.high)  # exp of log is not quite the same
        return round(value) if self.whole else value


Space = Mapping[str, Choice | Range]


def space(table: Mapping[str, Any]) -> Space:
    """``[search.over]``: a choice or a range for each key of a run file."""
    found = dict(_flat(table))
    if not found:
        raise ConfigError(f"search.over: no key to search over; each takes {TAKES}")
    return found


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Choice | Range]]:
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, dict) and not OPTIONS & {*value}:
            yield from _flat(value, key)
        elif "." not in key:
            raise ConfigError(f"search.over: {key} is not a key of a run file: section.key")
        elif isinstance(value, list) and len(value) > 1:
            yield key, Choice(tuple(value))
        elif isinstance(value, dict):
            yield key, _range(key, value)
        else:
            raise ConfigError(f"search.over.{key} = {value!r}; it takes {TAKES}")


def _range(key: str, table: Mapping[str, Any]) -> Range:
    wrong = ConfigError(f"search.over.{key} = {dict(table)!r}; it takes {TAKES}")
    if not {"low", "high"} <= {*table} <= OPTIONS:
        raise wrong
    numbers = [table["low"], table["high"]]
    flags = [table.get("log", False), table.get("whole", False)]
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers):
        raise wrong
    if any(not isinstance(x, bool) for x in flags) or not numbers[0] < numbers[1]:
        raise wrong
    if (flags[0] and numbers[0] <= 0) or (flags[1] and any(x != int(x) for x in numbers)):
        raise wrong
    return Range(*numbers, *flags)
