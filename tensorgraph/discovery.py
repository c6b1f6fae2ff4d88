"""Finds plugins by entry point and fills the registries from their hooks; a bad one is isolated."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pluggy

from tensorgraph import hookspecs
from tensorgraph.backend import ABSTRACT, Backend, Kernel
from tensorgraph.errors import BackendError, ConflictError, PluginError, TensorgraphError
from tensorgraph.registry import Registry

ENTRY_POINT_GROUP = "tensorgraph"
HOOKS = [name for name in vars(hookspecs) if name.startswith("register_")]


class PluginInfo(NamedTuple):
    """One plugin as found: where it comes from, what it brought, or why it brought nothing."""

    name: str
    module: str
    distribution: str
    version: str
    seconds: float
    registered: tuple[tuple[str, str], ...] = ()  # (kind, name)
    error: BaseException | None = None


class Plugins:
    """A set of plugins and what they registered. ``load()`` runs before the first look inside."""

    def __init__(self, load: Callable[[Plugins], None] | None = None) -> None:
        self.manager = pluggy.PluginManager("tensorgraph")
        self.manager.add_hookspecs(hookspecs)
        self.infos: dict[str, PluginInfo] = {}
        self._load = load
        self._live: dict[str, Backend] = {}
        self.registries = {
            hook: Registry(_kind(hook), self.load, self._broken_note) for hook in HOOKS
        }

    def load(self) -> None:
        """Load the installed plugins, once."""
        load, self._load = self._load, None
        if load is not None:
            load(self)

    def __getattr__(self, name: str) -> Registry:
        try:
            return self.__dict__["registries"][f"register_{name}"]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

    def register(self, plugin: object, name: str) -> list[tuple[str, str]]:
        """Register one plugin and run its hooks; if any of it fails, none of it stays."""
        if self.manager.has_plugin(name):
            raise ConflictError(f"a plugin named {name!r} is registered already")
        offers: list[tuple[Registry, str, Any]] = []
        try:
            self.manager.register(plugin, name)
            self.manager.check_pending()  # a misspelt hook is an error, not a no-op
            for hook, registry in self.registries.items():
                for impl in getattr(self.manager.hook, hook).get_hookimpls():
                    if impl.plugin_name == name:
                        impl.function(register=_collect(registry, offers))
            for i, (registry, offered, _) in enumerate(offers):
                registry.check_free(offered, plugin=name)
                if any(r is registry and n == offered for r, n, _ in offers[:i]):
                    raise ConflictError(
                        f"plugin {name!r} registers the {registry.kind} {offered!r} twice"
                    )
        except Exception as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            for registry, offered, _ in offers:
                registry.explain_missing(offered, f"plugin {name!r} was not loaded: {error}")
            raise
        for registry, offered, thing in offers:
            registry.add(offered, thing, plugin=name)
        return [(registry.kind, offered) for registry, offered, _ in offers]

    def _broken_note(self) -> str:
        broken = [i for i in self.infos.values() if i.error is not None]
        if not broken:
            return ""
        names = ", ".join(f"{i.name} ({i.error})" for i in broken)
        return f". Plugins that could not be loaded: {names}"

    def backend(self, name: str) -> Backend:
        """The backend of that name, made on first use."""
        if name not in self._live:
            factory = self.registries["register_backends"][name]
            try:
                self._live[name] = factory()
            except (ImportError, BackendError) as error:
                raise BackendError(f"backend {name!r} is not available here: {error}") from error
        return self._live[name]

    def kernels(self, backend: Backend, op: str) -> list[Kernel]:
        """The kernels that plugins offer for an op on a backend, in the order of loading."""
        if backend is ABSTRACT:
            return []
        offered = self.registries["register_kernels"].values()
        return [_imported(k) for where, k in offered if where == backend.name and k.op == op]


def _kind(hook: str) -> str:
    plural = hook.removeprefix("register_")
    return "loss" if plural == "losses" else plural.removesuffix("s")


def _collect(registry: Registry, offers: list[tuple[Registry, str, Any]]) -> Any:
    if registry.kind == "kernel":

        def kernel(
            *, backend: str, op: str, name: str, kernel: Any, supports: Any = None
        ) -> None:
            offered = Kernel(op, name, kernel, supports)
            offers.append((registry, f"{backend}/{op}/{name}", (backend, offered)))

        return kernel
    return lambda name, thing: offers.append((registry, name, thing))


@functools.cache
def _imported(kernel: Kernel) -> Kernel:
    """A kernel offered as "module:function", with the function."""
    if not isinstance(kernel.run, str):
        return kernel
    module, _, function = kernel.run.partition(":")
    return kernel._replace(run=getattr(importlib.import_module(module), function))


def load_entry_points(plugins: Plugins) -> None:
    """Load every installed plugin: the built-ins, then the others in the order of their names.

    Not pluggy's ``load_setuptools_entrypoints``, which skips a second plugin of one name without
    a word and lets one ImportError stop all others.
    """
    from importlib import metadata

    disabled = os.environ.get("TENSORGRAPH_DISABLE_PLUGINS", "").replace(" ", "").split(",")
    strict = os.environ.get("TENSORGRAPH_STRICT_PLUGINS", "") not in ("", "0")
    found = {(e.name, e.value): e for e in metadata.entry_points(group=ENTRY_POINT_GROUP)}
    order = sorted(found.values(), key=lambda e: (not _is_built_in(e), e.name, e.value))
    for entry in order:
        if entry.name in disabled:
            continue
        start = time.perf_counter()
        error: BaseException | None = None
        registered: list[tuple[str, str]] = []
        name = entry.name if entry.name not in plugins.infos else f"{entry.name}@{entry.value}"
        try:
            if name != entry.name:
                raise ConflictError(
                    f"two plugins are named {entry.name!r}: {plugins.infos[entry.name].module} "
                    f"and {entry.value}; uninstall one of them"
                )
            registered = plugins.register(entry.load(), entry.name)
        except Exception as caught:
            error = caught
        plugins.infos[name] = PluginInfo(
            name=name,
            module=entry.value,
            distribution=entry.dist.name if entry.dist else "?",
            version=entry.dist.version if entry.dist else "?",
            seconds=time.perf_counter() - start,
            registered=tuple(registered),
            error=error,
        )
        if error is not None:
            reason = str(error) if isinstance(error, TensorgraphError) else repr(error)
            message = (
                f"plugin {entry.name!r} ({entry.value}) was not loaded: {reason}. "
                f"'tensorgraph doctor' shows more; TENSORGRAPH_DISABLE_PLUGINS={entry.name} "
                "leaves it out"
            )
            if strict:
                raise PluginError(message) from error
            warnings.warn(message, RuntimeWarning, stacklevel=_users_frame())


def _is_built_in(entry: Any) -> bool:
    return entry.dist is not None and entry.dist.name == "tensorgraph"


def _users_frame() -> int:
    """How many frames up the first caller outside tensorgraph stands."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("tensorgraph"):
        level, frame = level + 1, frame.f_back
    return level


PLUGINS = Plugins(load_entry_points)
