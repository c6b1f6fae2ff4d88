"""Which names a plugin may have: those that Python, pip and the registries take, and nobody has."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

import tensorgraph as tg
from tensorgraph.errors import ConfigError, UnknownNameError
from tensorgraph.registry import Registry
from tensorgraph_new import template
from tensorgraph_new.kinds import Kind

PATTERN = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # with - for _ it is normal by PEP 503


def check(kind: Kind, name: str) -> None:
    """Raise a ``ConfigError`` that says what speaks against a name, and which would do."""
    for objection in objections(kind, name):
        raise ConfigError(f"{objection}; choose another name, such as {proposal(kind, name)!r}")


def objections(kind: Kind, name: str) -> Iterator[str]:
    """What speaks against a name."""
    if not PATTERN.fullmatch(name):
        yield (
            f"{name!r} is no name for a plugin: it takes lower-case letters, digits and single "
            "underscores, a letter first"
        )
    elif found := {name, template.class_name(name)} & {*keyword.kwlist}:
        yield f"{found.pop()!r} is a keyword of Python"
    else:
        yield from _registered(kind, name)
        yield from _ambiguous(kind, name)
        yield from _installed(name)


def _ambiguous(kind: Kind, name: str) -> Iterator[str]:
    """Names that mean something else where the plugin is written or asked for."""
    for used in {name, template.class_name(name)} & template.identifiers(kind):
        yield f"{name!r} does not go with the code of a new {kind.name}, which uses the name {used}"
    if name in kind.reserved or hasattr(Registry, name):
        yield f"{name!r} means something else where a {kind.name} is asked for"
    if kind.name == "op" and name not in tg.plugins.ops and hasattr(tg.ops, name):
        yield f"tg.ops.{name} is something else than an op"


def _registered(kind: Kind, name: str) -> Iterator[str]:
    key, registry = template.fill(kind.key, name), getattr(tg.plugins, kind.registry)
    try:
        plugin = registry.plugin_of(key)
    except UnknownNameError:
        if kind.name == "op" and name in tg.Op.declared:
            yield f"op {name!r} is declared already, in {tg.Op.declared[name]}"
    else:
        yield f"{kind.name} {key!r} is registered already, by {_plugin(plugin)}"
    if name in (*tg.plugins.infos, *tg.plugins.disabled):
        yield f"{_plugin(name)} is there already"


def _plugin(name: str) -> str:
    """A plugin and what it is a part of."""
    info = tg.plugins.infos.get(name)
    if info is None:
        return f"plugin {name!r}"
    return f"plugin {name!r} ({info.module} of {info.distribution} {info.version})"


def _installed(name: str) -> Iterator[str]:
    package, distribution = template.package(name), template.distribution(name)
    if (found := find_spec(package)) is not None:
        yield f"package {package} can be imported already, from {found.origin}"
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return
    yield f"distribution {distribution} {version} is installed already"


def proposal(kind: Kind, name: str) -> str:
    """A name like it that nothing speaks against."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    base = re.sub(r"[^a-z0-9]+", "_", words).strip("_") or kind.name
    mine = base if base.startswith("my_") else f"my_{base}"
    numbered = (f"{mine}_{i}" for i in itertools.count(2))
    candidates = itertools.chain((base, mine), numbered)
    return next(n for n in candidates if not any(objections(kind, n)))
