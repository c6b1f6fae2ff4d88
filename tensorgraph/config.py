"""Settings and where each came from: call > environment > file > default; one ContextVar."""

from __future__ import annotations

import functools
import operator
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, NamedTuple

from tensorgraph.backend import Backend
from tensorgraph.discovery import PLUGINS
from tensorgraph.errors import BackendError, ConfigError, UnknownNameError
from tensorgraph.op import Op
from tensorgraph.registry import near_miss

DEFAULTS = {"backend": "numpy", "dtype": "float32", "precision": "default"}
PRECISIONS = ("default", "strict", "float32", "tf32", "bfloat16")
VALUES = {"dtype": ("float32", "float64"), "precision": PRECISIONS}
AUTO_ORDER = ("cupy", "numpy")


class Choice(NamedTuple):
    """A setting's value and what decided it."""

    value: str
    origin: str


class Listener:
    """Told of every op that runs: what a recording, a FLOP count or a search for NaN is made of.
    Subclasses define what they want to hear."""

    def op(self, op: Any, inputs: tuple[Any, ...], params: Mapping[str, Any], out: Any) -> None: ...
    def enter(self, layer: Any, x: Any) -> None: ...
    def leave(self, layer: Any, out: Any) -> None: ...
    def settings(self, owner: Any, free: tuple[str, ...]) -> None: ...
    def detach(self, tensor: Any, out: Any) -> None: ...
    def assign(self, tensor: Any, value: Any) -> None: ...
    def clear(self, leaf: Any) -> None: ...
    def accumulate(self, leaf: Any) -> None: ...
    def host(self, make: Any, tensors: Any) -> None: ...
    def host_read(self, what: str, tensor: Any) -> None: ...
    def host_write(self, what: str) -> None: ...


class Settings(NamedTuple):
    backend: Choice
    dtype: Choice
    precision: Choice
    kernels: tuple[tuple[str, str], ...] = ()  # op → the kernel it is pinned to
    grad: bool = True  # whether ops are remembered for a backward pass
    listener: Listener | None = None


def choose(name: str, call: str | None = None, files: Iterable[Choice] = ()) -> Choice:
    """What decides a setting: the call, ``TENSORGRAPH_<NAME>``, the first of ``files``, the
    nearest ``pyproject.toml``'s ``[tool.tensorgraph]``, or the default."""
    variable = f"TENSORGRAPH_{name.upper()}"
    if call is not None:
        choice = Choice(call, "the call")
    elif os.environ.get(variable):
        choice = Choice(os.environ[variable], f"the environment variable {variable}")
    else:
        default = Choice(DEFAULTS[name], "the default")
        choice = next(iter(files), None) or _pyproject().get(name, default)
    if (known := VALUES.get(name)) is not None and choice.value not in known:
        raise ConfigError(
            f"{name} {choice.value!r} (from {choice.origin}) is not one of {', '.join(known)}"
        )
    return choice


def _pyproject() -> dict[str, Choice]:
    """The settings in the nearest ``pyproject.toml``, of this folder or above."""
    import tomllib  # both only where a setting is looked up: they are slow to import
    from pathlib import Path

    here = Path.cwd()
    path = next((p for f in (here, *here.parents) if (p := f / "pyproject.toml").is_file()), None)
    text = path.read_text("utf-8", "replace") if path else ""
    if "tensorgraph" not in text:
        return {}
    try:
        table = tomllib.loads(text).get("tool", {}).get("tensorgraph", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    origin = f"[tool.tensorgraph] in {path}"
    if not isinstance(table, dict):
        raise ConfigError(f"{origin} is {table!r}, not a table")
    for key, value in table.items():
        if key not in DEFAULTS:
            raise ConfigError(f"{origin}: no setting is named {near_miss(key, DEFAULTS)}")
        if not isinstance(value, str):
            raise ConfigError(f"{origin}: {key} = {value!r} is not a string")
    return {key: Choice(value, origin) for key, value in table.items()}


_current: ContextVar[Settings | None] = ContextVar("tensorgraph", default=None)


def current() -> Settings:
    """The settings in force here. A new thread starts from environment, file and default: they
    are its own, as an async task's are, which starts from those of the task that made it."""
    settings = _current.get()
    if settings is None:
        settings = Settings(choose("backend"), choose("dtype"), choose("precision"))
        _current.set(settings)
    return settings


class Scope:
    """Settings in force from now on, or, as a context manager, until the end of the block."""

    def __init__(self, **changes: Any) -> None:
        before = current()
        self._token: Token[Settings | None] = _current.set(before._replace(**changes))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _current.reset(self._token)


def use(
    *,
    backend: str | None = None,
    dtype: str | None = None,
    precision: str | None = None,
    kernels: Mapping[str, str | None] | None = None,
) -> Scope:
    """Choose the backend and dtype of new tensors, and pin ops to kernels (None: no longer).

    ``tg.use(backend="cupy")`` holds from now on; ``with tg.use(…):`` for a block. A backend that
    is not available here is a ``BackendError`` at once; there is no silent fallback. ``precision``
    "strict" admits only kernels with the rounding error of the sums that define an op; "default"
    and "float32" leave a backend the choice of faster ones, whose errors are larger; "tf32" and
    "bfloat16" also let it round the factors of products, which CuPy does.
    """
    given = {"backend": backend, "dtype": dtype, "precision": precision}
    changes: dict[str, Any] = {k: choose(k, x) for k, x in given.items() if x is not None}
    if backend is not None:
        get_backend(backend)
    if kernels is not None:
        PLUGINS.load()
        for op in kernels:
            if op not in Op.declared:
                raise ConfigError(f"use(kernels=…): no op is named {near_miss(op, Op.declared)}")
        pins = {**dict(current().kernels), **kernels}
        changes["kernels"] = tuple(sorted((op, k) for op, k in pins.items() if k is not None))
    return Scope(**changes)


@contextmanager
def no_grad() -> Iterator[None]:
    """Within the block nothing is remembered for a backward pass."""
    with Scope(grad=False):
        yield


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Within the block ``listener`` is told of every op and layer that runs."""
    with Scope(listener=listener):
        yield


def get_backend(name: str | None = None) -> Backend:
    """The backend of that name, or the one in force; "auto" is the one ``explain_auto`` names."""
    chosen = Choice(name, "the call") if name else current().backend
    value = explain_auto().value if chosen.value == "auto" else chosen.value
    try:
        return PLUGINS.backend(value)
    except (BackendError, UnknownNameError) as error:
        if chosen.origin in ("the call", "the default"):
            raise
        raise type(error)(f"{error} (it was chosen by {chosen.origin})") from error


@functools.cache
def explain_auto() -> Choice:
    """The backend that "auto" stands for on this machine, and why; found out once."""
    reasons = []
    for name in AUTO_ORDER:
        try:
            PLUGINS.backend(name)
        except (BackendError, UnknownNameError) as error:
            reasons.append(str(error))
        else:
            return Choice(name, f"auto, because {'; '.join(reasons) or 'a GPU answers'}")
    raise BackendError(f"backend 'auto': none is available here: {'; '.join(reasons)}")


_random = [int.from_bytes(os.urandom(8), "little"), 0]  # the seed, and how many streams were drawn
_drawing = threading.Lock()


def seed(value: int) -> None:
    """Start all randomness anew: the same seed gives the same numbers on every backend."""
    if not 0 <= operator.index(value) < 2**64:
        raise ConfigError(f"seed: {value} is not within 0 … 2**64 - 1")
    set_random_state((operator.index(value), 0))


def next_key() -> list[int]:
    """Four 32-bit words, never the same twice: the seed and the number of a fresh stream."""
    with _drawing:
        words = random_state()
        _random[1] += 1
    return [part for word in words for part in (word & 0xFFFFFFFF, word >> 32)]


def random_state() -> tuple[int, int]:
    """The seed and the number of streams drawn, to be given back to ``set_random_state``."""
    return _random[0], _random[1]


def set_random_state(state: tuple[int, int]) -> None:
    _random[:] = state
