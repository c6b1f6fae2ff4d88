"""From a name, a path or an object to what is checked."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph import Kernel, Layer, Op, Optimizer
from tensorgraph.errors import ConfigError, PluginError, UnknownNameError
from tensorgraph.registry import Registry, near_miss
from tensorgraph_check.check import run
from tensorgraph_check.checks import CHECKS
from tensorgraph_check.kinds import SUBJECTS
from tensorgraph_check.kinds.plugin import PluginSubject
from tensorgraph_check.op_samples import SKIP
from tensorgraph_check.report import Report
from tensorgraph_check.subject import Given, Subject


def check(thing: Any, *, kind: str = "", name: str = "", **given: Any) -> Report:
    """What ``tensorgraph.testing.check`` says: every check of the thing's kind."""
    subject = _subject(
        thing, kind, name, Given(**{k: v for k, v in given.items() if v is not None})
    )
    with _in_its_place(subject):
        return report(subject)


def report(subject: Subject) -> Report:
    if isinstance(subject, PluginSubject):
        return subject.report()
    own = getattr(subject.thing, "skip", None)
    known = SKIP.get(subject.name, {}) if subject.kind == "op" else {}
    skip = {**known, **(own if isinstance(own, dict) else {}), **subject.given.skip}
    names = [one.name for one in CHECKS if subject.kind in one.kinds]
    for name in skip:
        if name not in names:
            raise ConfigError(
                f"skip: no check of a {subject.kind} is named {near_miss(name, names)}"
            )
    return run(subject, CHECKS, skip)


def registry_of(kind: str) -> Registry:
    found: Registry = tg.plugins.registries[
        f"register_{'losses' if kind == 'loss' else f'{kind}s'}"
    ]
    return found


def named(what: str, kind: str = "") -> list[Subject]:
    """Everything that is registered under a name, and all that a plugin of that name brings."""
    tg.plugins.load()
    if kind and kind not in SUBJECTS:
        raise ConfigError(f"check: there are no checks of {near_miss(kind, SUBJECTS)}")
    info = tg.plugins.infos.get(what)
    if info is not None and info.error is not None:
        raise PluginError(f"plugin {what!r} was not loaded: {info.error}")
    keys = [(k, what) for k in SUBJECTS if what in registry_of(k)]
    keys += [("kernel", what)] if own_kernel(what) else []
    brought = info.registered if info else ()
    return _subjects(what, [key for key in (*keys, *brought) if kind in ("", key[0])])


def _subjects(plugin: str, brought: Iterable[tuple[str, str]]) -> list[Subject]:
    """What is registered as (kind, name); things of kinds without checks are one subject."""
    brought = [*dict.fromkeys(brought)]
    rest = [key for key in brought if key[0] not in SUBJECTS]
    subjects: list[Subject] = [_registered(*key) for key in brought if key[0] in SUBJECTS]
    return [*subjects, PluginSubject(plugin, rest)] if rest else subjects


def unknown(what: str, kind: str) -> UnknownNameError:
    names = {name for k in SUBJECTS if kind in ("", k) for name in registry_of(k)}
    known = {*names, *tg.plugins.infos} - {what}
    near = near_miss(what, known).partition(" Known: ")[0]
    return UnknownNameError(
        f"check: nothing to check is named {near} 'tensorgraph plugins' lists what there is"
    )


def _registered(kind: str, name: str, given: Given | None = None) -> Subject:
    registry = registry_of(kind)
    if kind == "backend":
        thing: Any = tg.plugins.backend(name)
    else:
        thing = (own_kernel(name) if kind == "kernel" else None) or registry[name]
    return SUBJECTS[kind](name, thing, given, registry)


def own_kernel(name: str) -> tuple[str, Kernel] | None:
    """The kernel that a backend itself has under the name "backend/op/name"."""
    backend, _, rest = name.partition("/")
    if not rest or backend not in tg.plugins.backends:
        return None
    own = tg.plugins.backend(backend).kernels
    return next(((backend, k) for k in own if f"{k.op}/{k.name}" == rest), None)


def at_path(path: Path) -> list[Subject]:
    """All that the plugin in a file or folder registers. Its code is run, and it is registered in
    this process unless it is installed."""
    path = path.parent if path.name == "__init__.py" else path
    subjects: list[Subject] = []
    for name, module in _modules(path.resolve()):
        plugin = _import(path.resolve(), module)
        loaded = (i for i in tg.plugins.infos.values() if i.module == module and i.error is None)
        info = None if path.is_file() else next(loaded, None)
        brought = info.registered if info else tg.plugins.register(plugin, name)
        for subject in _subjects(name, brought):
            subject.origin = () if info else _registering(plugin, name)
            subjects.append(subject)
    if not subjects:
        raise ConfigError(
            f"check {path}: it registers nothing; offer what it has with a hook, such as "
            "@tg.hookimpl def register_layers(register)"
        )
    return subjects


def _modules(path: Path) -> Iterable[tuple[str, str]]:
    """The plugins of a path and their modules: from the entry points of its pyproject.toml, or
    the package or the file itself."""
    project = path / "pyproject.toml"
    if project.is_file():
        try:
            table = tomllib.loads(project.read_text("utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{project} is not TOML: {error}") from None
        found = table.get("project", {}).get("entry-points", {}).get("tensorgraph", {})
        if not found:
            raise ConfigError(
                f"{project} has no plugin; name it there:\n"
                '[project.entry-points.tensorgraph]\nacme = "acme_tensorgraph"'
            )
        return list(found.items())
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise ConfigError(f"check {path}: neither pyproject.toml nor __init__.py is in that folder")
    return [(path.stem, path.stem)]


def _import(path: Path, module: str) -> Any:
    """Import a module that lies at a path, in it, or in its folder src."""
    inside = path.is_file() or (path / "__init__.py").is_file()
    folders = [path.parent] if inside else [path, path / "src"]
    sys.path[:0] = map(str, folders)
    try:
        made = _from_file(path, module) if path.is_file() else importlib.import_module(module)
    except Exception as error:
        raise PluginError(
            f"check {path}: {module} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not Path(made.__file__ or "").resolve().is_relative_to(path):
        raise PluginError(
            f"check {path}: {module} was imported from {made.__file__}, which is installed; "
            f"install this one, pip install -e {path}, or uninstall that"
        )
    return made


def _registering(plugin: Any, name: str) -> tuple[str, ...]:
    """Python that registers a plugin that is not installed."""
    depth = plugin.__name__.count(".") + hasattr(plugin, "__path__")
    return (
        f"import sys; sys.path.insert(0, {str(Path(plugin.__file__).parents[depth])!r})",
        f"import {plugin.__name__} as plugin; tg.plugins.register(plugin, {name!r})",
    )


def _from_file(path: Path, module: str) -> Any:
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ImportError("this is no Python file")
    made = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(module, made)
    spec.loader.exec_module(made)
    return made


def _subject(thing: Any, kind: str, name: str, given: Given) -> Subject:
    """What ``thing`` is: a registered name, or an object whose kind is plain or said."""
    if isinstance(thing, str):
        found = [one for one in named(thing, kind) if one.kind in SUBJECTS]
        if not found:
            raise unknown(thing, kind)
        if len(found) > 1:
            several = ", ".join(f"{s.kind} {s.name!r}" for s in found)
            raise ConfigError(
                f"check: {thing!r} names several: {several}; say which: kind={found[0].kind!r}"
            )
        (one,) = found
        return _registered(one.kind, one.name, given)
    kind = kind or _kind(thing)
    if kind not in SUBJECTS:
        raise ConfigError(f"check: there are no checks of {near_miss(kind, SUBJECTS)}")
    registry = registry_of(kind)
    known = next((key for key, value in registry.items() if value is thing), "")
    name = name or known or _name(thing)
    return SUBJECTS[kind](name, thing, given, registry if known else None)


def _name(thing: Any) -> str:
    if isinstance(thing, tuple):
        return f"{thing[0]}/{thing[1].op}/{thing[1].name}"
    own = thing.name if _is_backend(thing) and isinstance(thing.name, str) else ""
    return own or getattr(thing, "__name__", "") or type(thing).__name__


def _is_backend(thing: Any) -> bool:
    return all(hasattr(thing, part) for part in ("name", "asarray", "to_host"))


@contextmanager
def _in_its_place(subject: Subject) -> Iterator[None]:
    """A backend is used by its name: meanwhile that is the name of this one."""
    if subject.kind != "backend":
        yield
        return
    made: dict[str, Any] = tg.plugins._backends
    before = made.get(subject.name)
    made[subject.name] = subject.thing
    try:
        yield
    finally:
        del made[subject.name]
        made.update({} if before is None else {subject.name: before})


def _kind(thing: Any) -> str:
    """The kind of an object: by its class, or by the registry that holds it."""
    made = thing if isinstance(thing, type) else type(thing)
    classes = {Layer: "layer", Optimizer: "optimizer", Op: "op"}
    if found := next((kind for base, kind in classes.items() if issubclass(made, base)), ""):
        return found
    if isinstance(thing, tuple) and len(thing) == 2 and isinstance(thing[1], Kernel):
        return "kernel"
    if _is_backend(thing):
        return "backend"
    for kind in SUBJECTS:
        if any(value is thing for value in registry_of(kind).values()):
            return kind
    raise ConfigError(
        f"check: {_name(thing)} may be anything; say what: kind='activation', 'loss' or another of "
        f"{', '.join(SUBJECTS)}"
    )
