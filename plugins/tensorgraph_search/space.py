"""What may be tried: the ranges of a run file, and values drawn from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tensorgraph.errors import ConfigError

OPTIONS = ("low", "high", "log", "whole")
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
        more = 0.5 if self.whole else 0.0  # that half a number is lost at neither end
        ends = math.log(self.low - more), math.log(self.high + more)
        value = math.exp(random.uniform(*ends))
        if self.whole:
            value = round(value)
        return min(max(value, self.low), self.high)  # exp of log is not quite the same


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
        if isinstance(value, dict) and {*OPTIONS}.isdisjoint(value):
            yield from _flat(value, key)
        elif "." not in key:
            raise ConfigError(f"search.over: {key} is not a key of a run file: section.key")
        elif isinstance(value, list):
            yield key, _choice(key, value)
        elif isinstance(value, dict):
            yield key, _range(key, value)
        else:
            raise ConfigError(f"search.over.{key} = {value!r}; it takes {TAKES}")


def _choice(key: str, values: list[Any]) -> Choice:
    if len(values) < 2 or any(value in values[:i] for i, value in enumerate(values)):
        raise ConfigError(
            f"search.over.{key} = {values!r}; a choice takes at least two values, each once"
        )
    return Choice(tuple(values))


def _range(key: str, table: Mapping[str, Any]) -> Range:
    def check(fine: bool, takes: str) -> None:
        if not fine:
            shown = ", ".join(f"{name} = {_toml(value)}" for name, value in table.items())
            raise ConfigError(f"search.over.{key} = {{{shown}}}; {takes}")

    check({"low", "high"} <= {*table} <= {*OPTIONS}, f"it takes {TAKES}")
    low, high, log, whole = (table.get(name, False) for name in OPTIONS)
    for name, number in (("low", low), ("high", high)):
        fine = isinstance(number, int | float) and not isinstance(number, bool)
        check(fine and math.isfinite(number), f"{name} takes a number")
    check(isinstance(log, bool) and isinstance(whole, bool), "log and whole take true or false")
    check(low < high, "low must be below high")
    check(not log or low > 0, "with log = true low must be above 0")
    check(not whole or (low == int(low) and high == int(high)), "both ends must be whole numbers")
    return Range(int(low), int(high), log, whole) if whole else Range(low, high, log)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def put(table: dict[str, Any], key: str, value: Any) -> None:
    """Set a key of a run file. In a list, such as ``train.augment.rotate.degrees``, the thing of
    that name is meant. Another model has other options, so those of the model before it go."""
    *path, last = key.split(".")
    place: Any = table
    for name in path:
        if isinstance(place, list):
            place = _of_name(place, name)
        elif isinstance(place, dict):
            inner = place.setdefault(name, {})
            if isinstance(inner, str):  # a name alone
                place[name] = inner = {"name": inner}
            place = inner
    if not isinstance(place, dict):
        raise ConfigError(f"search.over.{key}: the run file has nothing of that name with options")
    if key == "model.name" and place.get("name", value) != value:
        place.clear()
    place[last] = value


def _of_name(things: list[Any], name: str) -> Any:
    """Of a list of names and of tables with a name."""
    for i, one in enumerate(things):
        if one == name:
            things[i] = {"name": name}
        if isinstance(things[i], dict) and things[i].get("name") == name:
            return things[i]
    return None
