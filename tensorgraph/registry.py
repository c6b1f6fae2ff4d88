"""One registry per kind of thing: names, what they stand for, and the plugin they came from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tensorgraph.errors import ConflictError, UnknownNameError


class Entry(NamedTuple):
    thing: Any
    plugin: str


class Registry(Mapping[str, Any]):
    """A read-only mapping from name to thing, with attributes: ``layers["linear"]`` is
    ``layers.linear``. ``load`` is called before the first look inside; ``note`` says what else
    to tell somebody who asks for a name that is not here."""

    def __init__(
        self,
        kind: str,
        load: Callable[[], object] = lambda: None,
        note: Callable[[], str] = lambda: "",
    ) -> None:
        self.kind = kind
        self._load = load
        self._note = note
        self._entries: dict[str, Entry] = {}
        self._missing: dict[str, str] = {}

    def add(self, name: str, thing: Any, *, plugin: str) -> None:
        self.check_free(name, plugin=plugin)
        self._entries[name] = Entry(thing, plugin)

    def check_free(self, name: str, *, plugin: str) -> None:
        if (taken := self._entries.get(name)) is not None:
            raise ConflictError(
                f"{self.kind} {name!r} is registered by plugin {taken.plugin!r} and again by "
                f"plugin {plugin!r}; rename one, or leave one out with "
                f"TENSORGRAPH_DISABLE_PLUGINS={plugin}"
            )

    def explain_missing(self, name: str, reason: str) -> None:
        """Remember why a name that was offered is not here."""
        self._missing.setdefault(name, reason)

    def plugin_of(self, name: str) -> str:
        """The name of the plugin that registered ``name``."""
        self[name]
        return self._entries[name].plugin

    def _loaded(self) -> dict[str, Entry]:
        self._load()
        return self._entries

    def __getitem__(self, name: str) -> Any:
        try:
            return self._loaded()[name].thing
        except KeyError:
            raise UnknownNameError(self._unknown(name)) from None

    def _unknown(self, name: str) -> str:
        if name in self._missing:
            return f"{self.kind} {name!r} is missing: {self._missing[name]}"
        near = difflib.get_close_matches(name, self._entries, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        known = ", ".join(sorted(self._entries)) or "none"
        return f"no {self.kind} named {name!r}{hint} Registered: {known}{self._note()}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownNameError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._loaded()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def __repr__(self) -> str:
        return f"<{self.kind} registry: {', '.join(self)}>"
