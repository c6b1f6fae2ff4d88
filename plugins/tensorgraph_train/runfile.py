"""The run file: which keys it may have, what each takes, and reading, changing and writing it."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorgraph.errors import ConfigError
from tensorgraph_train import keys, toml
from tensorgraph_train.keys import Named as Named
from tensorgraph_train.keys import Table

BY_TASK = "default"  # the name of what the labels call for


@dataclass(frozen=True)
class Data:
    """Which images; ``mean`` and ``std`` are per channel, of values between 0 and 1.

    ``workers`` threads read what is not kept in memory, 0 none and all in turn; unless it is said,
    as many as there are processors, at most 8. The results are the same.
    """

    name: str | None = keys.key(None, "the name of a dataset or of a reader", keys.text)
    path: str | None = keys.key(None, "the path of a file or folder", keys.text)
    val: float = keys.number(0.1, 0, 1, keys.FRACTION, False)
    test: float = keys.number(0.2, 0, 1, keys.FRACTION, False)
    group: str | None = keys.key(
        None, "the name of a column, or a pattern of the images' names with one (group)", keys.text
    )
    mixed_groups: bool = keys.key(False, "true or false", keys.flag)
    folds: int | None = keys.whole(None, 2)
    fold: int | None = keys.whole(None, 1)
    strict: bool = keys.key(False, "true or false", keys.flag)
    resize: tuple[int, ...] | None = keys.key(
        None,
        "[height, width], one number for both, or, of volumes, [depth, height, width]",
        keys.size,
    )
    channels: int | None = keys.key(None, "1 (grey) or 3 (colour)", keys.channels)
    mean: tuple[float, ...] | None = keys.key(
        None, "a list of numbers, one a channel", keys.numbers
    )
    std: tuple[float, ...] | None = keys.key(
        None, "a list of numbers above 0, one a channel", keys.positive_numbers
    )
    workers: int | None = keys.whole(None, 0, 64)
    cache: float = keys.number(1.0, 0, math.inf, "GiB of decoded images to keep, 0 for none", False)
    options: Mapping[str, Any] | None = keys.key(
        None, "a table of options of the reader", keys.options
    )


@dataclass(frozen=True)
class Train:
    """How to train."""

    epochs: int = keys.whole(20, 1)
    batch_size: int = keys.whole(64, 1)
    seed: int = keys.whole(0, 0, 2**63 - 1)
    backend: str | None = keys.key(None, "the name of a backend, or auto", keys.text)
    dtype: str | None = keys.key(None, '"float32" or "float64"', keys.text)
    precision: str | None = keys.key(None, '"default", "strict" or "tf32", say', keys.text)
    compile: bool = keys.key(True, "true or false", keys.flag)
    loss: Named = field(default=Named(BY_TASK), metadata=keys.NAMED)
    optimizer: Named = field(default=Named("adam", {"lr": 2e-3}), metadata=keys.NAMED)
    augment: tuple[Named, ...] = keys.key((), keys.NAMES, keys.names)
    schedule: Named = field(default=Named("cosine"), metadata=keys.NAMED)
    regularizer: Named | None = field(default=None, metadata=keys.NAMED)
    clip_norm: float | None = keys.number(None, 0, math.inf, keys.POSITIVE, True)
    clip_value: float | None = keys.number(None, 0, math.inf, keys.POSITIVE, True)
    class_weights: str | tuple[float, ...] | None = keys.key(
        None, '"balanced", or a list of numbers above 0, one a class', keys.weights
    )
    sampling: str = keys.key("shuffled", '"shuffled" or "balanced"', keys.sampling)
    control: bool = keys.key(False, "true or false", keys.flag)
    metric: str = keys.key(BY_TASK, 'the name of a metric, or "loss"', keys.text)
    patience: int | None = keys.whole(None, 1)
    checkpoint_every: float = keys.number(30.0, 0, math.inf, "seconds, 0 for every batch", False)
    callbacks: tuple[Named, ...] = keys.key(
        (Named("history"), Named("progress")), keys.NAMES, keys.names
    )


@dataclass(frozen=True)
class Evaluate:
    """What is reported besides: the rule for the threshold, which of two classes is the positive
    one (the second by default), and for which prevalence PPV and NPV are given."""

    threshold: str | Mapping[str, float] = keys.key(
        "youden", '"youden", or {sensitivity = 0.9}: a number above 0 and at most 1', keys.threshold
    )
    positive: str | None = keys.key(None, "the name of a class", keys.text)
    prevalence: float | None = keys.number(None, 0, 1, "a number above 0 and below 1", True)


@dataclass(frozen=True)
class Transfer:
    """Where training begins and what of it stays: weights from elsewhere, frozen parts, learning
    rates of each part as shares of the optimizer's."""

    weights: str | None = keys.key(None, 'the path of a file, or "pretrained"', keys.text)
    head: str = keys.key("new", '"new" or "keep"', keys.head)
    freeze: str | int | tuple[str, ...] = keys.key(
        (),
        '"body", a whole number of parts from the input on, or a list of patterns of names',
        keys.frozen,
    )
    lr: float | Mapping[str, float] = keys.key(
        1.0,
        "a number above 0, from each part to the next, or a table of patterns and such numbers",
        keys.factors,
    )
    unfreeze: int | None = keys.whole(None, 1)
    keep: bool = keys.key(True, "true or false", keys.flag)


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on."""

    data: Data = field(default_factory=Data)
    model: Named = field(default_factory=lambda: Named("small_cnn"))
    train: Train = field(default_factory=Train)
    evaluate: Evaluate = field(default_factory=Evaluate)
    transfer: Transfer | None = None

    def toml(self) -> str:
        return toml.dumps(_plain(self))


SECTIONS: dict[str, type] = {
    "data": Data,
    "model": Named,
    "train": Train,
    "evaluate": Evaluate,
    "transfer": Transfer,
}


def _plain(value: Any) -> Any:
    """Dataclasses as tables."""
    if isinstance(value, Named):
        return value.table()
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [_plain(x) for x in value] if isinstance(value, tuple | list) else value


def read(path: Path) -> Table:
    """The tables of a run file, not yet checked, without [search], which tries other values."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"run file {path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"run file {path}: not TOML: {error}") from None
    if table.pop("search", None) is not None:
        words = "[search] is for 'tensorgraph search'; here the values of the file itself hold"
        warnings.warn(f"run file {path}: {words}", stacklevel=2)
    return table


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
            parts[name] = _convert("model", value, keys.NAMED, origins.get("model", origin))
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
