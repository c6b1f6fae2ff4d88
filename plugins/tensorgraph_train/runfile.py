"""The run file: which keys it may have, what each takes, and reading, changing and writing it."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorgraph.errors import ConfigError
from tensorgraph_train import toml

Table = dict[str, Any]


@dataclass(frozen=True)
class Named:
    """Something registered, by name, and the options that it is made with."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def table(self) -> Table:
        return {"name": self.name, **self.options}


def _key(default: Any, expects: str, convert: Callable[[Any], Any]) -> Any:
    """A key: ``convert`` gives the value as the program wants it, or raises ValueError."""
    return field(default=default, metadata={"expects": expects, "convert": convert})


def _whole(default: int | None, low: int, high: float = math.inf) -> Any:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    top = "" if math.isinf(high) else f" and at most {int(high)}"
    return _key(default, f"a whole number, at least {low}{top}", convert)


def _number(default: float | None, low: float, high: float, expects: str, above: bool) -> Any:
    """A number up to but not including ``high``; ``above``: ``low`` itself is not in."""

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not low <= value < high or (above and value == low):
            raise ValueError
        return float(value)

    return _key(default, expects, convert)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _size(value: Any) -> tuple[int, int]:
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        raise ValueError
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sides):
        raise ValueError
    return sides[0], sides[1]


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in value):
        raise ValueError
    return tuple(map(float, value))


def _positive_numbers(value: Any) -> tuple[float, ...]:
    if min(numbers := _numbers(value)) <= 0:
        raise ValueError
    return numbers


def _options(value: Any) -> Table:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _named(value: Any) -> Named:
    table = {"name": value} if isinstance(value, str) else dict(_options(value))
    return Named(_text(table.pop("name", None)), table)


def _names(value: Any) -> tuple[Named, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(map(_named, value))


def _weights(value: Any) -> str | tuple[float, ...]:
    return "balanced" if value == "balanced" else _positive_numbers(value)


def _sampling(value: Any) -> str:
    if value not in ("shuffled", "balanced"):
        raise ValueError
    return str(value)


def _channels(value: Any) -> int:
    if isinstance(value, bool) or value not in (1, 3):
        raise ValueError
    return int(value)


NAMED = {"expects": 'a name, or a table with a name: {name = "…", …}', "convert": _named}
NAMES = "a list of names, or of tables with a name"
FRACTION = "a number from 0 up to, but not, 1"
POSITIVE = "a number above 0"


@dataclass(frozen=True)
class Data:
    """Which images; ``mean`` and ``std`` are per channel, of values between 0 and 1."""

    name: str | None = _key(None, "the name of a dataset or of a reader", _text)
    path: str | None = _key(None, "the path of a file or folder", _text)
    val: float = _number(0.1, 0, 1, FRACTION, False)
    test: float = _number(0.2, 0, 1, FRACTION, False)
    group: str | None = _key(
        None, "the name of a column, or a pattern of the images' names with one (group)", _text
    )
    folds: int | None = _whole(None, 2)
    fold: int | None = _whole(None, 1)
    strict: bool = _key(False, "true or false", _flag)
    resize: tuple[int, int] | None = _key(None, "[height, width], or one number for both", _size)
    channels: int | None = _key(None, "1 (grey) or 3 (colour)", _channels)
    mean: tuple[float, ...] | None = _key(None, "a list of numbers, one a channel", _numbers)
    std: tuple[float, ...] | None = _key(
        None, "a list of numbers above 0, one a channel", _positive_numbers
    )
    options: Mapping[str, Any] | None = _key(None, "a table of options of the reader", _options)


@dataclass(frozen=True)
class Train:
    """How to train."""

    epochs: int = _whole(20, 1)
    batch_size: int = _whole(64, 1)
    seed: int = _whole(0, 0, 2**63 - 1)
    backend: str | None = _key(None, "the name of a backend, or auto", _text)
    dtype: str | None = _key(None, '"float32" or "float64"', _text)
    precision: str | None = _key(None, '"default" or "strict"', _text)
    compile: bool = _key(True, "true or false", _flag)
    loss: Named = field(default=Named("cross_entropy"), metadata=NAMED)
    optimizer: Named = field(default=Named("adam", {"lr": 2e-3}), metadata=NAMED)
    schedule: Named = field(default=Named("cosine"), metadata=NAMED)
    regularizer: Named | None = field(default=None, metadata=NAMED)
    clip_norm: float | None = _number(None, 0, math.inf, POSITIVE, True)
    clip_value: float | None = _number(None, 0, math.inf, POSITIVE, True)
    class_weights: str | tuple[float, ...] | None = _key(
        None, '"balanced", or a list of numbers above 0, one a class', _weights
    )
    sampling: str = _key("shuffled", '"shuffled" or "balanced"', _sampling)
    control: bool = _key(False, "true or false", _flag)
    metric: str = _key("accuracy", 'the name of a metric, or "loss"', _text)
    patience: int | None = _whole(None, 1)
    checkpoint_every: float = _number(30.0, 0, math.inf, "seconds, 0 for every batch", False)
    callbacks: tuple[Named, ...] = _key((Named("history"), Named("progress")), NAMES, _names)


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on."""

    data: Data = field(default_factory=Data)
    model: Named = field(default_factory=lambda: Named("small_cnn"))
    train: Train = field(default_factory=Train)

    def toml(self) -> str:
        return toml.dumps(_plain(self))


SECTIONS: dict[str, type] = {"data": Data, "model": Named, "train": Train}


def _plain(value: Any) -> Any:
    """Dataclasses as tables."""
    if isinstance(value, Named):
        return value.table()
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [_plain(x) for x in value] if isinstance(value, tuple | list) else value


def read(path: Path) -> Table:
    """The tables of a run file, not yet checked."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"run file {path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"run file {path}: not TOML: {error}") from None


def put(table: Table, key: str, value: Any) -> None:
    """Set ``section.key`` or ``section.key.option``."""
    *path, last = key.split(".")
    for name in path:
        inner = table.get(name, {})
        table[name] = {"name": inner} if isinstance(inner, str) else inner
        table = table[name]
        if not isinstance(table, dict):
            raise ConfigError(f"{key}: {name} is not a table, it is {table!r}")
    table[last] = value


def assignment(text: str) -> tuple[str, Any]:
    """``section.key=value`` in two; what is not TOML is text, so quotes may be left out."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or "." not in key or not all(key.split(".")):
        raise ConfigError(f"--set {text}: it takes section.key=value, such as train.batch_size=32")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()


def settings(table: Mapping[str, Any], origins: Mapping[str, str], origin: str) -> Settings:
    """Check every key. ``origins`` says where some keys come from, ``origin`` that of the rest."""
    for name in table:
        if name not in SECTIONS:
            source = next((o for k, o in origins.items() if k.startswith(f"{name}.")), origin)
            inner = name in {f.name for f in dataclasses.fields(Train)}
            hint = f"; did you mean train.{name}?" if inner else near(name, SECTIONS)
            raise ConfigError(f"{source}: no section [{name}]{hint}")
    parts: dict[str, Any] = {}
    for name, value in table.items():
        if name == "model":
            value = _with_name(value, Settings().model)
            parts[name] = _convert("model", value, NAMED, origins.get("model", origin))
        else:
            parts[name] = _section(name, value, origins, origin)
    return Settings(**parts)


def _section(name: str, table: Any, origins: Mapping[str, str], origin: str) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"{origin}: {name} = {table!r} is not a table; write [{name}]")
    fields = {f.name: f for f in dataclasses.fields(SECTIONS[name])}
    found = {}
    for key, value in table.items():
        where = f"{name}.{key}"
        source = next((o for k, o in origins.items() if f"{k}.".startswith(f"{where}.")), origin)
        if key not in fields:
            raise ConfigError(f"{source}: no key {where}{near(key, fields)}")
        rule, value = fields[key].metadata, _with_name(value, fields[key].default)
        found[key] = _convert(where, value, rule, source)
    return SECTIONS[name](**found)


def _with_name(value: Any, default: Any) -> Any:
    """``train.optimizer.lr = 0.1`` alone means: of the default optimizer."""
    if isinstance(default, Named) and isinstance(value, dict) and "name" not in value:
        return {**default.table(), **value}
    return value


def _convert(where: str, value: Any, rule: Mapping[str, Any], origin: str) -> Any:
    try:
        return rule["convert"](value)
    except ValueError:
        raise ConfigError(f"{origin}: {where} = {value!r}; it takes {rule['expects']}") from None


def near(name: str, known: Iterable[str]) -> str:
    """How to go on after an unknown name: the nearest one, then all there are."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"{hint} Known: {', '.join(known) or 'none'}"
