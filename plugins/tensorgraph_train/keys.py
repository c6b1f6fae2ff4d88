"""The keys of a run file: what a value must be, and what the program makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Table = dict[str, Any]


@dataclass(frozen=True)
class Named:
    """Something registered, by name, and the options that it is made with."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def table(self) -> Table:
        return {"name": self.name, **self.options}


def key(default: Any, expects: str, convert: Callable[[Any], Any]) -> Any:
    """A key: ``convert`` gives the value as the program wants it, or raises ValueError."""
    return field(default=default, metadata={"expects": expects, "convert": convert})


def whole(default: int | None, low: int, high: float = math.inf) -> Any:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    top = "" if math.isinf(high) else f" and at most {int(high)}"
    return key(default, f"a whole number, at least {low}{top}", convert)


def number(default: float | None, low: float, high: float, expects: str, above: bool) -> Any:
    """A number up to but not including ``high``; ``above``: ``low`` itself is not in."""

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not low <= value < high or (above and value == low):
            raise ValueError
        return float(value)

    return key(default, expects, convert)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def size(value: Any) -> tuple[int, ...]:
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, list | tuple) or len(sides) not in (2, 3):
        raise ValueError
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sides):
        raise ValueError
    return tuple(sides)


def numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in value):
        raise ValueError
    return tuple(map(float, value))


def positive_numbers(value: Any) -> tuple[float, ...]:
    if min(found := numbers(value)) <= 0:
        raise ValueError
    return found


def options(value: Any) -> Table:
    if not isinstance(value, dict):
        raise ValueError
    return value


def named(value: Any) -> Named:
    table = {"name": value} if isinstance(value, str) else dict(options(value))
    return Named(text(table.pop("name", None)), table)


def names(value: Any) -> tuple[Named, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(map(named, value))


def weights(value: Any) -> str | tuple[float, ...]:
    return "balanced" if value == "balanced" else positive_numbers(value)


def sampling(value: Any) -> str:
    if value not in ("shuffled", "balanced"):
        raise ValueError
    return str(value)


def threshold(value: Any) -> str | Table:
    if value == "youden":
        return str(value)
    if not isinstance(value, dict) or [*value] != ["sensitivity"]:
        raise ValueError
    least = value["sensitivity"]
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 < least <= 1:
        raise ValueError
    return {"sensitivity": float(least)}


def frozen(value: Any) -> str | int | tuple[str, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return text(value) if isinstance(value, str) else tuple(map(text, several(value)))


def factors(value: Any) -> float | Table:
    """One number, or one for each pattern."""
    if not isinstance(value, dict):
        return positive_numbers([value])[0]
    return dict(zip(value, positive_numbers([*value.values()])))


def several(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return list(value)


def head(value: Any) -> str:
    if value not in ("new", "keep"):
        raise ValueError
    return str(value)


def channels(value: Any) -> int:
    if isinstance(value, bool) or value not in (1, 3):
        raise ValueError
    return int(value)


NAMED = {"expects": 'a name, or a table with a name: {name = "…", …}', "convert": named}
NAMES = "a list of names, or of tables with a name"
FRACTION = "a number from 0 up to, but not, 1"
POSITIVE = "a number above 0"
