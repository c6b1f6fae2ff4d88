"""Finds plugins by entry point and fills the registries from their hooks; a bad one is isolated."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pluggy

from tensorgraph import hookspecs
from tensorgraph.backend import ABSTRACT, Backend, Kernel, imported
from tensorgraph.errors import BackendError, ConflictError, PluginError
from tensorgraph.op import Op
from tensorgraph.registry import Registry, near_miss

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

    @property
    def built_in(self) -> bool:
        return self.distribution == "tensorgraph"


class Offer(NamedTuple):
    registry: Registry
    name: str
    thing: Any


class Plugins:
    """A set of plugins and what they registered. The installed ones are loaded on first use."""

    def __init__(self, load: Callable[[Plugins], None] | None = None) -> None:
        self.manager = pluggy.PluginManager("tensorgraph")
        self.manager.add_hookspecs(hookspecs)
        self.infos: dict[str, PluginInfo] = {}
        self.disabled: list[str] = []
        self.on_change: list[Callable[[], object]] = []  # told of each plugin that comes in
        self.registries = {hook: Registry(_kind(hook), self.load, self._note) for hook in HOOKS}
        self._backends: dict[str, Backend] = {}
        self._load = load
        self._loaded = load is None
        self._loading = threading.RLock()
        self.fatal = ""  # why a bad plugin was not isolated

    def load(self) -> None:
        """Load the installed plugins, once. A plugin that looks into a registry meanwhile sees
        what was loaded before it; another thread waits."""
        if self._loaded:
            return
        with self._loading:
            load, self._load = self._load, None
            if load is not None:
                load(self)
                self._loaded = not self.fatal
            if self.fatal:
                raise PluginError(self.fatal)

    def __getattr__(self, name: str) -> Registry:
        registries: dict[str, Registry] = self.__dict__.get("registries", {})
        if f"register_{name}" not in registries:
            raise AttributeError(name)
        return registries[f"register_{name}"]

    def register(self, plugin: object, name: str) -> list[tuple[str, str]]:
        """Register a plugin, a module or another object with hooks; if any of it fails, none stays.

        Returns the (kind, name) of what it brought. Raises ``PluginError``, or what a hook raises.
        """
        self.load()
        if self.manager.has_plugin(name):
            raise ConflictError(f"a plugin named {name!r} is registered already")
        offers: list[Offer] = []
        try:
            self.manager.register(plugin, name)
            self._ask(plugin, offers)
            _check_offers(offers, name)
        except Exception as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            for offer in offers:
                offer.registry.note_absence(offer.name, f"plugin {name!r} was not loaded: {error}")
            raise
        for offer in offers:
            offer.registry.put(*offer[1:], plugin=name)
        for notify in self.on_change:
            notify()
        return [(offer.registry.kind, offer.name) for offer in offers]

    def _ask(self, plugin: object, offers: list[Offer]) -> None:
        """Call a plugin's hooks, all of them even if one fails: the names that the others offer can
        then be explained. Pluggy overlooks a misspelt hook and a forgotten decorator."""
        errors: list[Exception] = []
        for attribute in dir(plugin):
            function = getattr(plugin, attribute)
            options = getattr(function, "tensorgraph_impl", None) if callable(function) else None
            try:
                if isinstance(options, dict):
                    if (hook := options["specname"] or attribute) not in HOOKS:
                        raise PluginError(f"no hook is named {near_miss(hook, HOOKS)}")
                    function(register=_collector(self.registries[hook], offers))
                elif attribute in HOOKS:
                    raise PluginError(f"{attribute} lacks its decorator, @tensorgraph.hookimpl")
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _note(self) -> str:
        """What to tell somebody who asks for a name that nobody registered."""
        broken = ", ".join(i.name for i in self.infos.values() if i.error is not None)
        failed = f". Not loaded, 'tensorgraph doctor' says why: plugin {broken}" if broken else ""
        return failed + (f". Disabled: plugin {', '.join(self.disabled)}" if self.disabled else "")

    def backend(self, name: str) -> Backend:
        """The backend of that name, made on first use."""
        try:
            return self._backends[name]
        except KeyError:
            factory = self.registries["register_backends"][name]
        try:
            return self._backends.setdefault(name, factory())
        except (ImportError, BackendError) as error:
            raise BackendError(f"backend {name!r} is not available here: {error}") from error

    def kernels_for(self, backend: Backend, op: str) -> list[Kernel]:
        """The kernels that plugins offer for an op on a backend; who comes last is asked first, so
        that a stranger's kernel is preferred to a built-in one."""
        if backend is ABSTRACT:
            return []
        offered = [*self.registries["register_kernels"].values()]
        return [k for where, k in reversed(offered) if where == backend.name and k.op == op]

    def walk(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Take a walk over a model or a step: ``walk("summary", model, spec)``."""
        walk, plugin = self.walks[name], self.walks.plugin_of(name)
        return imported(walk, f"walk {name!r} of plugin {plugin!r}")(*arguments, **options)

    def compilers_for(self, backend: Backend) -> Iterator[Callable[..., Any]]:
        """What runs recorded programs on a backend; who comes last is asked first."""
        for name, (where, compiler) in reversed([*self.compilers.items()]):
            if where == backend.name:
                plugin = self.compilers.plugin_of(name)
                yield imported(compiler, f"compiler {name!r} of plugin {plugin!r}")


def _kind(hook: str) -> str:
    plural = hook.removeprefix("register_")
    return "loss" if plural == "losses" else plural.removesuffix("s")


def _collector(registry: Registry, offers: list[Offer]) -> Any:
    """The ``register`` that a hook is given: it notes what is offered."""
    if registry.kind == "compiler":

        def compiles(*, backend: str, name: str, compiler: Any) -> None:
            offers.append(Offer(registry, f"{backend}/{name}", (backend, compiler)))

        return compiles
    if registry.kind != "kernel":
        return lambda name, thing: offers.append(Offer(registry, name, thing))

    def register(*, backend: str, op: str, name: str, kernel: Any, supports: Any = None) -> None:
        if op not in Op.declared:
            raise PluginError(f"kernel {name!r}: no op is named {near_miss(op, Op.declared)}")
        if name == "portable":
            raise PluginError(f"kernel 'portable': so is {op}'s own called; choose another name")
        offered = Kernel(op, name, kernel, supports)
        offers.append(Offer(registry, f"{backend}/{op}/{name}", (backend, offered)))

    return register


def _check_offers(offers: list[Offer], plugin: str) -> None:
    """All names are checked before the first is taken."""
    conflicts = []
    for i, (registry, name, _) in enumerate(offers):
        if any(o.registry is registry and o.name == name for o in offers[:i]):
            raise ConflictError(f"plugin {plugin!r} registers the {registry.kind} {name!r} twice")
        try:
            registry.require_free(name, plugin=plugin)
        except ConflictError as error:
            conflicts.append((registry, name, error))
    if conflicts:
        first = conflicts[0][2]
        first.contested = [(registry, name) for registry, name, _ in conflicts]
        raise first


def load_entry_points(plugins: Plugins) -> None:
    """Load every installed plugin: the ops, which others are made of, the other built-ins, then
    those of strangers, in the order of their names.

    Not pluggy's ``load_setuptools_entrypoints``, which skips a second plugin of one name without
    a word and lets one ImportError stop all others.
    """
    from importlib.metadata import entry_points  # slow to import

    disabled = os.environ.get("TENSORGRAPH_DISABLE_PLUGINS", "").replace(" ", "").split(",")
    strict = os.environ.get("TENSORGRAPH_STRICT_PLUGINS", "") not in ("", "0")
    messages = []
    found = {(e.name, e.value): (_info(e), e) for e in entry_points(group=ENTRY_POINT_GROUP)}
    for info, entry in sorted(found.values(), key=_rank):
        if entry.name in disabled:
            plugins.disabled.append(entry.name)
            continue
        info = _load_one(plugins, info, entry)
        plugins.infos[info.name] = info
        if info.error is not None:
            message = (
                f"plugin {entry.name!r} ({entry.value}) was not loaded: "
                f"{type(info.error).__name__}: {info.error}. 'tensorgraph doctor' shows more; "
                f"TENSORGRAPH_DISABLE_PLUGINS={entry.name} leaves it out"
            )
            if strict:
                plugins.fatal = message
                return
            messages.append(message)
    for message in messages:  # not sooner: where warnings are errors this ends the loading
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _rank(found: tuple[PluginInfo, Any]) -> tuple[bool, bool, str, str]:
    return not found[0].built_in, found[0].name != "ops", *found[0][:2]


def _info(entry: Any) -> PluginInfo:
    """Of the distribution's metadata only the head is parsed: a whole README may come after it."""
    text = (entry.dist and entry.dist.read_text("METADATA")) or ""
    head = dict(x.partition(": ")[::2] for x in text.partition("\n\n")[0].splitlines())
    return PluginInfo(entry.name, entry.value, head.get("Name", "?"), head.get("Version", "?"), 0.0)


def _load_one(plugins: Plugins, info: PluginInfo, entry: Any) -> PluginInfo:
    """Import and register one plugin; what goes wrong is noted, whatever it is."""
    start = time.perf_counter()
    try:
        if (other := plugins.infos.get(info.name)) is not None:
            info = info._replace(name=f"{info.name}@{info.module}")
            raise ConflictError(
                f"two plugins are named {other.name!r}: {other.module} of {other.distribution} and "
                f"{info.module} of {info.distribution}; uninstall one of them"
            )
        info = info._replace(registered=tuple(plugins.register(entry.load(), info.name)))
    except (Exception, SystemExit) as error:
        info = info._replace(error=error)
        for registry, name in getattr(error, "contested", ()):
            holder = plugins.infos.get(registry.plugin_of(name))
            if holder is not None and not holder.built_in:  # neither may win by its name
                registry.withdraw(name, str(error))
    return info._replace(seconds=time.perf_counter() - start)


PLUGINS = Plugins(load_entry_points)
