"""Augmentations that mix the images of a batch, and say in what shares, so that labels mix alike.

They return the images and the shares (n, n): row i says how much of each image there is in the
new image i. Who is mixed depends on who is in the batch, which seed and epoch decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorgraph as tg
from tensorgraph_augment.common import drawn, two_keys, within
from tensorgraph_augment.intensity import between, mean_of_each

Mix: TypeAlias = Callable[[tg.Tensor, tg.Tensor], tuple[tg.Tensor, tg.Tensor]]
TRIES = 16  # one alone succeeds in half of all cases or more


def mixes(factory: Any) -> Any:
    """Marks a factory of augmentations that return shares as well."""
    factory.mixes = True
    return factory


def beta(images: tg.Tensor, key: tg.Tensor, alpha: float) -> tg.Tensor:
    """A number (n,) from Beta(alpha, alpha) for each image, ``alpha`` at most 1: the first of
    several pairs that Jöhnk's (1964) method accepts, and in 1 of 65,536 cases or fewer one that it
    does not."""
    ops, n = tg.ops, images.shape[0]
    pairs = ops.uniform((n, TRIES, 2), dtype=images.dtype, key=key)
    logs = ops.log(ops.maximum(pairs, 2.0**-25)) / alpha
    x, y = logs[:, :, 0], logs[:, :, 1]
    accepted = ops.cast(ops.exp(x) + ops.exp(y) <= 1, dtype=images.dtype)
    first = ops.reshape(ops.argmax(accepted, axis=1), shape=(n, 1))
    return ops.reshape(ops.take_along_axis(ops.sigmoid(x - y), first, axis=1), shape=(n,))


def _partners(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
    """The images in random order, (n,) of int64."""
    return tg.ops.argsort(tg.ops.uniform(images.shape[:1], dtype=images.dtype, key=key))


def _shares(images: tg.Tensor, own: tg.Tensor, partner: tg.Tensor) -> tg.Tensor:
    """(n, n): ``own`` of image i itself, the rest of its partner."""
    n, ops = images.shape[0], tg.ops
    itself = images.constant([[float(i == j) for j in range(n)] for i in range(n)])
    own = ops.reshape(own, shape=(n, 1))
    return itself * own + itself[partner] * (1 - own)


@mixes
def mixup(alpha: float = 0.2) -> Mix:
    """Lays another image of the batch over each, in shares from Beta(alpha, alpha) (Zhang et al.,
    ICLR 2018)."""
    within("mixup", 0.05, 1, alpha=alpha)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        first, second = two_keys(key)
        n, ops = images.shape[0], tg.ops
        own = beta(images, first, alpha)
        partner = _partners(images, second)
        weight = ops.reshape(own, shape=(n, *[1] * (images.ndim - 1)))
        mixed = images * weight + images[partner] * (1 - weight)
        return mixed, _shares(images, own, partner)

    return augment


@mixes
def cutmix(alpha: float = 1.0) -> Mix:
    """Puts a rectangle of another image of the batch into each, whose area is a share from
    Beta(alpha, alpha), cut off at the border (Yun et al., ICCV 2019)."""
    within("cutmix", 0.05, 1, alpha=alpha)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        first, second = two_keys(key)
        n, ops = images.shape[0], tg.ops
        partner = _partners(images, first)
        third, fourth = two_keys(second)
        area = ops.reshape(beta(images, third, alpha), shape=(n, *[1] * (images.ndim - 1)))
        side = ops.sqrt(area)
        down, across = drawn(images, fourth, 2, low=0.0)
        rows = between(images, -2, down - side * 0.5, side)
        cut = rows & between(images, -1, across - side * 0.5, side)
        mixed = ops.where(cut, images[partner], images)
        inside = ops.reshape(mean_of_each(ops.cast(cut, dtype=images.dtype)), shape=(n,))
        return mixed, _shares(images, 1 - inside, partner)

    return augment
