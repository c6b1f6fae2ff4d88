"""Builds the command line from the registry, runs it, and turns mistakes into one clear message."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import typer

import tensorgraph as tg
from tensorgraph.errors import PluginError, TensorgraphError

MISTAKE, INTERRUPTED = 2, 130
DESCRIPTION = "Train and use small networks on images, on NumPy or CuPy."
UsageProblem: type[Exception] = typer.BadParameter.__mro__[2]  # click's, wherever typer keeps it


class StoppedError(Exception):
    """The user pressed Ctrl-C."""


def run(arguments: list[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [x for x in given if x != "--debug"]
    warnings.showwarning = _one_line
    try:
        result = typer.main.get_command(_app())(given, "tensorgraph", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except StoppedError as stop:
        return _say(str(stop), INTERRUPTED)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TensorgraphError, OSError, MemoryError, UsageProblem) as error:
        if debug:
            traceback.print_exc()
        return _say(_message(error), MISTAKE)


def _say(text: str, status: int) -> int:
    print(f"tensorgraph: {text}", file=sys.stderr)
    return status


def _message(error: Exception) -> str:
    if isinstance(error, UsageProblem):
        text: str = error.format_message()  # type: ignore[attr-defined]  # click's own
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "tensorgraph"
        return f"{text.strip()}\n'{path} --help' shows what there is"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError) and not isinstance(error, TensorgraphError):
        return f"memory is full: {error or 'no more'}; smaller batches or images take less"
    return str(error)


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """A warning without its source line: the reader did not write it."""
    print(f"tensorgraph: warning: {message}", file=file or sys.stderr)


def _app() -> typer.Typer:
    app = typer.Typer(
        help=f"{DESCRIPTION}\n\n--debug, anywhere, shows the traceback of an error.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_no_command)
    for name in sorted(tg.commands, key=lambda n: (not _built_in(n), n)):
        app.command(name)(_stoppable(_function(name)))
    return app


def _no_command() -> None:
    """Without it, typer would leave out the name of an only command."""


def _built_in(name: str) -> bool:
    info = tg.plugins.infos.get(tg.commands.plugin_of(name))
    return info is not None and info.built_in


def _stoppable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Ctrl-C with what the command has to say about it; typer would drop the words."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except KeyboardInterrupt as stop:
            raise StoppedError(str(stop) or "stopped") from None

    return call


def _function(name: str) -> Callable[..., Any]:
    """The command itself, or, where it cannot be imported, one that says so."""
    thing = tg.commands[name]
    if not isinstance(thing, str):
        return thing  # type: ignore[no-any-return]
    module, _, function = thing.partition(":")
    try:
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        reason, plugin = str(error), tg.commands.plugin_of(name)

        def broken() -> None:
            raise PluginError(f"the command {name!r} of plugin {plugin!r} does not load: {reason}")

        broken.__doc__ = f"(does not load: {reason})"
        return broken
