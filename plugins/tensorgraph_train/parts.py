"""From names in a run file to what is registered: options checked, and filled in."""

from __future__ import annotations

import functools
import inspect
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError, TensorgraphError
from tensorgraph.registry import Registry
from tensorgraph_train import toml
from tensorgraph_train.runfile import Named, near

# how many arguments come before the options, and which of these are keys of their own
GIVEN = {"loss": (2, ""), "optimizer": (1, "clip_norm clip_value"), "activation": (1, "")}


def resolve(
    registry: Registry, where: str, named: Named, *, first: int = 0, reserved: str = ""
) -> Named:
    """The same with every option written out.

    The thing's ``first`` arguments, and those named in ``reserved``, are no affair of the run
    file's. Raises ``UnknownNameError``, or ``ConfigError`` for an option that is not there.
    """
    thing = registry[named.name]
    parameters = list(inspect.signature(thing).parameters.values())[first:]
    options = {p.name: p for p in parameters if p.name not in reserved.split()}
    if any(p.kind is p.VAR_KEYWORD for p in options.values()):
        return named
    options = {k: p for k, p in options.items() if p.kind is not p.VAR_POSITIONAL}
    for name in named.options:
        if name not in options:
            raise ConfigError(
                f"{where}: {registry.kind} {named.name!r} has no option {name!r}"
                f"{near(name, options)}"
            )
    for name, value in named.options.items():
        _check_kind(f"{where}.{name}", options[name], value)
    missing = [k for k, p in options.items() if p.default is p.empty and k not in named.options]
    if missing:
        raise ConfigError(
            f"{where}: {registry.kind} {named.name!r} needs {', '.join(missing)}; set it with "
            f"--set {where}.{missing[0]}=…, or in the run file"
        )
    defaults = {k: p.default for k, p in options.items() if _writable(p.default)}
    return Named(named.name, {**defaults, **named.options})


def _check_kind(key: str, parameter: inspect.Parameter, value: Any) -> None:
    """Text where the default is a number would fail later, with words about the program."""
    default = parameter.default
    if "str" in str(parameter.annotation):
        return
    wanted = ""
    if isinstance(default, bool):
        wanted = "" if isinstance(value, bool) else "true or false"
    elif isinstance(default, int | float):
        wanted = "" if isinstance(value, int | float) else f"a number, such as {default}"
    elif isinstance(default, list | tuple):
        wanted = "" if isinstance(value, list | tuple) else f"a list, such as {list(default)}"
    if wanted:
        raise ConfigError(f"{key} = {value!r}; it takes {wanted}")


def _writable(value: Any) -> bool:
    """Whether a run file can hold it."""
    if isinstance(value, list | tuple):
        return all(map(_writable, value))
    return isinstance(value, bool | int | float | str)


def make(registry: Registry, where: str, named: Named, *args: Any, **more: Any) -> Any:
    """Call what is registered with ``args``, the options and ``more``."""
    return guarded(registry[named.name], registry, where, named, *args, **more)


def guarded(
    thing: Callable[..., Any],
    registry: Registry,
    where: str,
    named: Named,
    *args: Any,
    **more: Any,
) -> Any:
    """Call it; an option that it cannot take is the run file's mistake."""
    options: Mapping[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in named.options.items()
    }
    try:
        return thing(*args, **options, **more)
    except TensorgraphError:
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{k}={v!r}" for k, v in named.options.items())
        raise ConfigError(f"{where}: {registry.kind} {named.name!r} ({given}): {error}") from error


def written_and_read(kind: str, name: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """What a run file with this name and these options makes of it, once it is written, every
    option filled in, and read again: a function of what comes before the options.

    Raises ``ConfigError`` where an option is not there, or is nothing that a file can hold.
    """
    registry = tg.plugins.registries[f"register_{'losses' if kind == 'loss' else f'{kind}s'}"]
    first, reserved = GIVEN.get(kind, (0, ""))
    where, named = f"train.{kind}", Named(name, options)
    for _ in range(2):  # as it was asked for, then with every option written out
        try:
            text = toml.dumps({"part": named.table()})
        except TypeError as error:
            raise ConfigError(f"{where}: {name!r} cannot be written: {error}") from None
        table = tomllib.loads(text)["part"]
        named = Named(table.pop("name"), table)
        named = resolve(registry, where, named, first=first, reserved=reserved)
    return functools.partial(make, registry, where, named)
