"""Which plugins of strangers a run needs: noted in its files, and looked for when they are read."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.config import Listener, listen
from tensorgraph.errors import DataError, PluginError
from tensorgraph_train.runfile import Settings

OF_MODEL = ("model", "layer", "activation", "initializer", "op")  # the kinds a model is made of
WITH_DATA = (*OF_MODEL, "dataset")


@dataclass(frozen=True)
class Requirement:
    """A plugin, the distribution that brings it, and what of it is used, as "layer snake".

    One that was registered by hand, in a notebook say, has no distribution and no version.
    """

    plugin: str
    distribution: str
    version: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        source = f" ({self.distribution} {self.version})" if self.distribution else ""
        return f"plugin {self.plugin!r}{source}"


def of_run(settings: Settings, model: tg.Layer, image: tg.Spec) -> tuple[Requirement, ...]:
    """The plugins, other than the built-in ones, whose names the run file says, or whose code the
    model consists of."""
    found: dict[str, dict[str, None]] = {}
    for plugin, part in (*_named(settings), *_inside(model, image)):
        found.setdefault(plugin, {})[part] = None
    return tuple(_requirement(plugin, found[plugin]) for plugin in sorted(found))


def _requirement(plugin: str, parts: Iterable[str]) -> Requirement:
    info = tg.plugins.infos.get(plugin)
    distribution, version = (info.distribution, info.version) if info else ("", "")
    return Requirement(plugin, distribution, version, tuple(sorted(parts)))


def _named(settings: Settings) -> Iterator[tuple[str, str]]:
    """(plugin, part) of each name in a run's settings."""
    train = settings.train
    names = [
        (tg.models, settings.model.name),
        (tg.datasets, settings.data.name or _reader(settings.data.path)),
        (tg.losses, train.loss.name),
        (tg.optimizers, train.optimizer.name),
        (tg.schedules, train.schedule.name),
        (tg.regularizers, train.regularizer.name if train.regularizer else None),
        (tg.metrics, train.metric),
        (tg.plugins.backends, train.backend),
        *((tg.augmentations, augmentation.name) for augmentation in train.augment),
        *((tg.callbacks, callback.name) for callback in train.callbacks),
    ]
    for registry, name in names:
        if (
            name is not None
            and name in registry
            and not _built_in(plugin := registry.plugin_of(name))
        ):
            yield plugin, f"{registry.kind} {name}"


def _reader(path: str | None) -> str | None:
    """The dataset that reads a path."""
    if path is None:
        return None
    return next((name for name, s in tg.datasets.items() if s.accepts(Path(path))), None)


def _built_in(plugin: str) -> bool:
    info = tg.plugins.infos.get(plugin)
    return plugin == "core" or (info is not None and info.built_in)


class _Ops(Listener):
    """Hears which ops run."""

    def __init__(self) -> None:
        self.heard: dict[Any, None] = {}

    def op(self, op: Any, inputs: tuple[Any, ...], params: Mapping[str, Any], out: Any) -> None:
        self.heard[op] = None


def _inside(model: tg.Layer, image: tg.Spec) -> Iterator[tuple[str, str]]:
    """(plugin, part) of the layers, functions and ops in a model that are a stranger's code."""
    packages = {
        info.module.partition(":")[0].partition(".")[0]: plugin
        for plugin, info in tg.plugins.infos.items()
        if not info.built_in and info.error is None
    }
    ops = _Ops()
    with listen(ops):
        model.infer_shape(image)
    things: list[tuple[Any, Any]] = [(tg.plugins.ops, op) for op in ops.heard]
    for _, layer in model.layers():
        things.append((tg.layers, type(layer)))
        things += [(tg.activations, x) for x in _functions(layer)]
        things += [(tg.initializers, x.initializer) for x in layer.own_parameters()]
    for registry, thing in things:
        rule = getattr(thing, "shape_rule", thing)  # an op's code is its rule's
        package = str(getattr(rule, "__module__", "")).partition(".")[0]
        if package in packages:
            yield packages[package], f"{registry.kind} {_name(registry, thing)}"


def _functions(layer: tg.Layer) -> Iterator[Any]:
    for value in vars(layer).values():
        inner = value.values() if isinstance(value, dict) else value
        members = inner if isinstance(value, dict | list | tuple) else [value]
        yield from (x for x in members if callable(x) and not isinstance(x, tg.Layer))


def _name(registry: Any, thing: Any) -> str:
    """The name that a thing, or the factory that made it, is registered by, else its own."""
    made_by = getattr(thing, "__qualname__", "?").partition(".")[0]
    for name, registered in registry.items():
        same = getattr(registered, "__module__", "") == getattr(thing, "__module__", None)
        if registered is thing or (same and getattr(registered, "__qualname__", "") == made_by):
            return str(name)
    return getattr(thing, "__name__", made_by)


def of_kinds(requires: Iterable[Requirement], kinds: Collection[str]) -> tuple[Requirement, ...]:
    """The part of them that brings something of these kinds."""
    own = (
        replace(x, parts=tuple(p for p in x.parts if p.partition(" ")[0] in kinds))
        for x in requires
    )
    return tuple(needed for needed in own if needed.parts)


def read(rows: Any, path: Path) -> tuple[Requirement, ...]:
    """The requirements in a file's metadata; in files of before there were any, none."""
    try:
        return tuple(Requirement(**{**row, "parts": tuple(row["parts"])}) for row in rows or ())
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: what it says of plugins is damaged: {error}") from error


def missing(requires: Sequence[Requirement], kinds: Collection[str] | None) -> list[Requirement]:
    """Those that are not here, and of which something of these kinds, or of any, is used."""
    loaded = tg.plugins.manager.has_plugin
    return [
        needed
        for needed in requires
        if not loaded(needed.plugin) and not all(_elsewhere(part, kinds) for part in needed.parts)
    ]


def _elsewhere(part: str, kinds: Collection[str] | None) -> bool:
    """Whether a part is not wanted, or another plugin has it."""
    kind, _, name = part.partition(" ")
    if kinds is not None and kind not in kinds:
        return True
    return any(r.kind == kind and name in r for r in tg.plugins.registries.values())


def reason(needed: Requirement) -> str:
    """Why a plugin is not here."""
    info = tg.plugins.infos.get(needed.plugin)
    if needed.plugin in tg.plugins.disabled:
        return "is switched off by TENSORGRAPH_DISABLE_PLUGINS"
    if info is not None and info.error is not None:
        return f"was not loaded: {info.error}; 'tensorgraph doctor' shows more"
    return "is not installed here" if needed.distribution else "was registered by hand, elsewhere"


def way_out(lacking: Sequence[Requirement]) -> str:
    """The command that brings them; what the file says is quoted, for it is there to be pasted."""
    wanted = [shlex.quote(f"{x.distribution}=={x.version}") for x in lacking if x.distribution]
    if not wanted:
        return "register it here too: tg.plugins.register(…)"
    return f"pip install {' '.join(wanted)}"


def check(requires: Sequence[Requirement], kinds: Collection[str] | None, path: Path) -> None:
    """Raise where a plugin that a file needs is missing; warn where it has another version."""
    lacking = missing(requires, kinds)
    if lacking:
        lines = [f"{path} needs {x} for {', '.join(x.parts)}: it {reason(x)}" for x in lacking]
        raise PluginError("\n".join([*lines, way_out(lacking)]))
    for needed in requires:
        info = tg.plugins.infos.get(needed.plugin)
        if info is not None and info.version != needed.version:
            warnings.warn(
                f"{path} was made with {needed.distribution} {needed.version}, and {info.version} "
                "is here; if it behaves otherwise: "
                f"pip install {needed.distribution}=={needed.version}",
                RuntimeWarning,
                stacklevel=2,
            )
