"""One registry per kind of thing: names, what they stand for, and the plugin they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tensorgraph.errors import ConflictError, PluginError, UnknownNameError


def near_miss(name: str, known: Iterable[str]) -> str:
    """``name``, what it may have been meant to be, and all that is known."""
    import difflib  # only for somebody who mistyped

    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{name!r}{hint} Known: {', '.join(known) or 'none'}"


class Registry(Mapping[str, Any]):
    """A read-only mapping from name to thing, with attributes: ``layers["linear"]`` is
    ``layers.linear``. ``load`` is called before the first look inside; ``note`` says what else
    to tell somebody who asks for a name that is not here."""

    def __init__(self, kind: str, load: Callable[[], object], note: Callable[[], str]) -> None:
        self.kind = kind
        self._load = load
        self._note = note
        self._things: dict[str, Any] = {}
        self._plugins: dict[str, str] = {}
        self._missing: dict[str, str] = {}

    def put(self, name: str, thing: Any, *, plugin: str) -> None:
        self.require_free(name, plugin=plugin)
        self._things[name], self._plugins[name] = thing, plugin

    def require_free(self, name: str, *, plugin: str) -> None:
        """Raise where ``name`` is no name, or another plugin has registered it."""
        if not isinstance(name, str) or not name or hasattr(Registry, name):
            raise PluginError(
                f"plugin {plugin!r} registers a {self.kind} as {name!r}; a name is a string that "
                "is not a method of registries"
            )
        if name in self._plugins:
            raise ConflictError(
                f"{self.kind} {name!r} is registered by plugin {self._plugins[name]!r} and again "
                f"by plugin {plugin!r}; rename one, or leave one out: "
                f"TENSORGRAPH_DISABLE_PLUGINS={plugin}"
            )

    def note_absence(self, name: str, reason: str) -> None:
        """Tell who asks for a name that was offered and is not here the reason."""
        self._missing.setdefault(name, reason)

    def withdraw(self, name: str, reason: str) -> None:
        """Let nobody have a name that two plugins claim."""
        self._things.pop(name, None)
        self._missing[name] = reason

    def plugin_of(self, name: str) -> str:
        """The name of the plugin that registered ``name``, or was the first to."""
        self._load()
        return self._plugins[name] if name in self._plugins else str(self[name])

    def _loaded(self) -> dict[str, Any]:
        self._load()
        return self._things

    def __getitem__(self, name: str) -> Any:
        things = self._loaded()
        if name in things:
            return things[name]
        if name in self._missing:
            raise UnknownNameError(f"{self.kind} {name!r} is missing: {self._missing[name]}")
        raise UnknownNameError(f"no {self.kind} is named {near_miss(name, things)}{self._note()}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._loaded()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def __repr__(self) -> str:
        return f"<{self.kind} registry: {', '.join(self)}>"
