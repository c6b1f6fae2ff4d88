"""Settings and where each came from: call > environment > file > default; one ContextVar."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from tensorgraph.backend import Backend
from tensorgraph.discovery import PLUGINS
from tensorgraph.errors import BackendError, ConfigError

DEFAULTS = {"backend": "numpy", "dtype": "float32"}
DTYPES = ("float32", "float64")
AUTO_ORDER = ("cupy", "numpy")


class Choice(NamedTuple):
    """A setting's value and what decided it."""

    value: str
    origin: str


class Listener(Protocol):
    """Told of every op that runs: what a recording, a FLOP count or a search for NaN is made of."""

    def op(self, op: Any, inputs: tuple[Any, ...], params: Mapping[str, Any], out: Any) -> None: ...
    def enter(self, layer: Any, x: Any) -> None: ...
    def leave(self, layer: Any, out: Any) -> None: ...
    def host_read(self, what: str, tensor: Any) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    backend: Choice
    dtype: Choice
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
        choices = [*files, *_from_pyproject(name), Choice(DEFAULTS[name], "the default")]
        choice = choices[0]
    if name == "dtype" and choice.value not in DTYPES:
        raise ConfigError(
            f"dtype {choice.value!r} (from {choice.origin}) is not one of {', '.join(DTYPES)}"
        )
    return choice


def _from_pyproject(name: str) -> list[Choice]:
    import tomllib  # only where a setting is looked up

    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            try:
                table = tomllib.loads(path.read_text("utf-8"))
            except (OSError, ValueError):
                return []  # not ours to judge: the file belongs to another tool as well
            value = table.get("tool", {}).get("tensorgraph", {}).get(name)
            return [] if value is None else [Choice(str(value), f"[tool.tensorgraph] in {path}")]
    return []


_current: ContextVar[Settings | None] = ContextVar("tensorgraph", default=None)


def current() -> Settings:
    settings = _current.get()
    if settings is None:
        settings = Settings(choose("backend"), choose("dtype"))
        _current.set(settings)
    return settings


class Scope:
    """Settings in force from now on, or, as a context manager, until the end of the block."""

    def __init__(self, **changes: Any) -> None:
        before = current()
        self._token: Token[Settings | None] = _current.set(dataclasses.replace(before, **changes))

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.reset(self._token)


def use(
    *,
    backend: str | None = None,
    dtype: str | None = None,
    kernels: Mapping[str, str] | None = None,
) -> Scope:
    """Choose the backend and dtype of new tensors, and pin ops to kernels.

    ``tg.use(backend="cupy")`` holds from now on; ``with tg.use(…):`` for a block. A backend that
    is not available here is a ``BackendError`` at once; there is no silent fallback.
    """
    changes: dict[str, Any] = {}
    if backend is not None:
        get_backend(backend)
        changes["backend"] = Choice(backend, "the call tg.use(backend=…)")
    if dtype is not None:
        changes["dtype"] = choose("dtype", dtype)
    if kernels is not None:
        changes["kernels"] = tuple(sorted(kernels.items()))
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
    """The backend of that name, or the one in force. "auto" is the first that is available of
    CuPy and NumPy; its ``name`` says which."""
    name = name or current().backend.value
    if name != "auto":
        return PLUGINS.backend(name)
    for candidate in AUTO_ORDER[:-1]:
        try:
            return PLUGINS.backend(candidate)
        except BackendError:
            continue
    return PLUGINS.backend(AUTO_ORDER[-1])


class _Generator:
    """A seed and the number of streams drawn from it so far."""

    def __init__(self, seed: int, stream: int = 0) -> None:
        self.seed = seed
        self.stream = stream


_generator = _Generator(int.from_bytes(os.urandom(8), "little"))


def seed(value: int) -> None:
    """Start all randomness anew: the same seed gives the same numbers on every backend."""
    if not 0 <= value < 2**64:
        raise ConfigError(f"seed: {value} is not within 0 … 2**64 - 1")
    _generator.seed, _generator.stream = value, 0


def next_key() -> list[int]:
    """Four 32-bit words, never the same twice: the seed and the number of a fresh stream."""
    words = (_generator.seed, _generator.stream)
    _generator.stream += 1
    return [part for word in words for part in (word & 0xFFFFFFFF, word >> 32)]


def random_state() -> tuple[int, int]:
    """The seed and the number of streams drawn, to be given back to ``set_random_state``."""
    return _generator.seed, _generator.stream


def set_random_state(state: tuple[int, int]) -> None:
    _generator.seed, _generator.stream = state
