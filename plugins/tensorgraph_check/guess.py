"""Samples for things whose author gives none: likely shapes, and values for required options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import tensorgraph as tg
from tensorgraph_check.op_samples import SAMPLES
from tensorgraph_check.sample import Sample, between, flags, normal, sample, whole

# (N, C), (N, C, H, W), (N, T, C), (N, C, T), (N, C, D, H, W): sizes that differ, most of them odd
SHAPES = ((3, 4), (2, 4, 7, 6), (2, 5, 4), (2, 4, 9), (2, 4, 5, 6, 5), (7,))
ELEMENTWISE = ((3, 5), (2, 3, 4, 3), (7,))
BORDERS = (
    (37,),
    (5, 67),
    (3, 130),
    (2, 3, 9, 11),
    (64, 33),
    (128, 64),
)  # whole blocks and odd ends
LARGE = ((67, 131), (3, 5, 33, 35))


def activation(thing: Any) -> Iterator[Sample]:
    for options in values(thing, skip=1):
        for shape in ELEMENTWISE:
            yield sample(normal(*shape), **options)
        yield sample(between(0.1, 0.9, 3, 5), **options)


def layer(thing: Any) -> Iterator[Sample]:
    """Of one option that fits, all shapes; then those of the next."""
    made = isinstance(thing, tg.Layer)
    parameters = [] if made else inspect.signature(thing).parameters.values()
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    arguments = (tg.layers.linear(3), tg.layers.layer_norm()) if several else ()
    for options in [{}] if made else [*values(thing), *_layers(thing)]:
        for shape in SHAPES:
            yield dataclasses.replace(sample(normal(*shape), **options), arguments=arguments)
        for shape in ((3,), (2, 5)):
            yield dataclasses.replace(sample(whole(2, *shape), **options), arguments=arguments)


def loss(thing: Any) -> Iterator[Sample]:
    """Logits and classes, two of a shape, and probabilities."""
    for options in values(thing, skip=2):
        yield sample(normal(3, 5), whole(5, 3), **options)
        yield sample(normal(2, 3, 4, 3), whole(3, 2, 4, 3), **options)
        yield sample(normal(3, 5), normal(3, 5, seed=1), **options)
        yield sample(normal(7), normal(7, seed=1), **options)
        yield sample(between(0.1, 0.9, 3, 5), between(0.1, 0.9, 3, 5, seed=1), **options)


def regularizer(thing: Any) -> Iterator[Sample]:
    for options in values(thing):
        yield named(sample(normal(4, 3), normal(4, seed=1), normal(2, 4, seed=2), **options))


def named(given: Sample) -> Sample:
    """Names of parameters: weights are those with two axes or more."""
    names = [f"{i}.{'weight' if x.ndim > 1 else 'bias'}" for i, x in enumerate(given.inputs)]
    return dataclasses.replace(given, names=tuple(names))


def optimizer(thing: Any) -> Iterator[Sample]:
    for options in values(thing, skip=1):
        yield sample(normal(3, 2), normal(4, seed=1), **options)


def op(thing: Any, shapes: Iterable[tuple[int, ...]] = ELEMENTWISE) -> Iterator[Sample]:
    """What the kit knows of ops; of others, several inputs of one shape, or a matrix product."""
    known = SAMPLES.get(getattr(thing, "__name__", ""), ())
    yield from known
    if known:
        return
    first = isinstance(thing, tg.Op)
    count = len(thing.inputs) + thing.variadic if first else _positional(thing)
    count += takes_list(thing)
    for options in values(thing, skip=count):
        for shape in shapes:
            yield sample(*[normal(*shape, seed=i) for i in range(count)], **options)
        for shape in shapes:
            yield sample(*[between(0.2, 0.8, *shape, seed=i) for i in range(count)], **options)
        yield sample(*[flags(3, 5, seed=i) for i in range(count)], **options)
        yield sample(*[whole(3, 3, 5, seed=i) for i in range(count)], **options)
        if count == 2:
            yield sample(normal(2, 3), normal(3, 5, seed=1), **options)
            yield sample(normal(2, 3, 6, 5), normal(4, 3, 3, 3, seed=1), **options)


def kernel(thing: tg.Op[...]) -> Iterator[Sample]:
    """Those of its op, shapes with ends that do not fill a block, and large ones."""
    known = tuple(SAMPLES.get(thing.name, ()))
    yield from reversed(known)  # the larger ones come last in the list
    if not known:
        large = op(thing, shapes=LARGE)
        yield next(large)
        yield from op(thing, shapes=BORDERS)


def values(thing: Any, skip: int = 0) -> Iterator[dict[str, Any]]:
    """Values for the options without a default: numbers that fit many."""
    names = _required(thing, skip)
    for value in (3, 2, 4, 1, 0, 0.5, "mean", True) if names else (None,):
        yield {name: 1e-2 if name == "lr" else value for name in names}


def _layers(thing: Any) -> Iterator[dict[str, Any]]:
    """What is made of layers needs some."""
    if names := _required(thing):
        yield {name: tg.layers.layer_norm() for name in names}


def _required(thing: Any, skip: int = 0) -> list[str]:
    """The options without a default."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(thing).parameters.values())[skip:]
    return [p.name for p in parameters if p.default is p.empty and p.kind in kinds]


def takes_list(thing: Any) -> bool:
    """Whether what comes first is a sequence of tensors, by its annotation."""
    first = next(iter(inspect.signature(thing).parameters.values()), None)
    said = "" if first is None else str(first.annotation)
    return any(kind in said for kind in ("Sequence[", "Iterable[", "list["))


def _positional(thing: Any) -> int:
    """How many tensors a function takes: the arguments without a default that come by position."""
    parameters = inspect.signature(thing).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is p.empty and p.kind in kinds for p in parameters)
