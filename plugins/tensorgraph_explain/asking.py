"""Asking a model about images: as it predicts, with a gradient, for one class of each image."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import ConfigError, ShapeError

Target = int | Sequence[int] | None  # a class of all images, or of each; None: the model's answers
BATCH = 64  # images that are asked about together
FEW = 16  # the same where gradients are wanted, which take more memory
Run = TypeVar("Run", bound=Callable[..., Any])


def explains(says: str, *, over: bool = True) -> Callable[[Run], Run]:
    """Mark a walk as a method for ``tensorgraph explain``: what its picture shows, and whether its
    map lies over the image or is shown as tiles."""

    def mark(run: Run) -> Run:
        vars(run).update(explains=says, over=over)
        return run

    return mark


@contextmanager
def predicting(model: tg.Layer) -> Iterator[None]:
    """Within the block the model predicts, whatever it did before; gradients are remembered."""
    before = {layer: layer.training for _, layer in model.layers()}
    model.eval()
    try:
        with config.Scope(grad=True):
            yield
    finally:
        for layer, training in before.items():
            layer.training = training


def outputs(model: tg.Layer, x: tg.Tensor) -> Any:
    """What the model gives (n, K), as a NumPy array."""
    with predicting(model), tg.no_grad():
        parts = [model(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    return np.concatenate([_checked(part).numpy() for part in parts])


def answers(model: tg.Layer, x: tg.Tensor, target: Target) -> tuple[int, ...]:
    """The class of each image that is asked about."""
    if target is None:
        return tuple(outputs(model, x).argmax(1).tolist())
    found = (target,) * len(x) if isinstance(target, int) else tuple(map(int, target))
    if len(found) != len(x):
        raise ConfigError(f"target: {len(found)} classes for {len(x)} images; give one for each")
    return found


def scores(model: tg.Layer, x: tg.Tensor, target: Sequence[int]) -> Any:
    """What the model gives for the class of each image (n,), as a NumPy array."""
    found = outputs(model, x)
    _in_range(target, found.shape[1])
    return found[np.arange(len(target)), list(target)]


def total(model: tg.Layer, x: tg.Tensor, target: Sequence[int]) -> tg.Tensor:
    """The sum of the same as a tensor, to be differentiated: images do not touch each other."""
    found = _checked(model(x))
    _in_range(target, found.shape[1])
    indices = tg.tensor(list(target), dtype="int64", backend=x.backend.name)
    chosen = tg.ops.one_hot(indices, num_classes=found.shape[1], dtype=found.dtype)
    return (found * chosen).sum()


def leaf(x: tg.Tensor) -> tg.Tensor:
    """The same images, for which a gradient can be asked."""
    own = x.detach()
    own.requires_grad = True
    return own


def gradient(model: tg.Layer, x: tg.Tensor, target: Sequence[int]) -> tg.Tensor:
    """How the score of each image changes with each of its values."""
    own = leaf(x)
    with predicting(model):
        score = total(model, own, target)
    return tg.grad(score, [own])[0]


def each_gradient(
    model: tg.Layer, copies: Iterable[tg.Tensor], target: Sequence[int]
) -> Iterator[Any]:
    """The same for copies of the images, as NumPy arrays; some copies are asked about together."""
    left = iter(copies)
    while some := list(itertools.islice(left, max(1, FEW // len(target)))):
        found = gradient(model, tg.ops.concat(some), tuple(target) * len(some))
        yield from np.split(found.numpy(), len(some))


def like(x: tg.Tensor, values: Any) -> tg.Tensor:
    """A tensor of these values with the dtype and on the backend of ``x``."""
    return tg.tensor(np.asarray(values, x.dtype), backend=x.backend.name)


def _checked(found: tg.Tensor) -> tg.Tensor:
    if found.ndim != 2:
        raise ShapeError(f"explain: the model gives {found.spec}; it takes (images, classes)")
    return found


def _in_range(target: Sequence[int], classes: int) -> None:
    wrong = [t for t in target if not 0 <= t < classes]
    if wrong:
        raise ConfigError(f"target: the model has {classes} classes, from 0 on, and not {wrong[0]}")
