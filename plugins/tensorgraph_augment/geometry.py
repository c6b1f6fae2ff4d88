"""Augmentations that move pixels, in the plane of the last two axes; a volume's slices move alike.

Beyond the border an image goes on with its outermost pixels.
"""

from __future__ import annotations

import math

import tensorgraph as tg
from tensorgraph_augment.common import Augment, cautioned, chance, drawn, within

BUMP = 0.6  # the width of what one point of an elastic grid moves, in distances between points


def _from_middle(images: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    """How far each row (1, H, 1) and each column (1, 1, W) is from the middle of the image."""
    height, width = images.shape[-2:]
    rows = images.constant([[[i - (height - 1) / 2] for i in range(height)]])
    columns = images.constant([[[i - (width - 1) / 2 for i in range(width)]]])
    return rows, columns


def moved(images: tg.Tensor, rows: tg.Tensor, columns: tg.Tensor) -> tg.Tensor:
    """The images at places counted from their middle, which broadcast to (n, H, W)."""
    height, width = images.shape[-2:]
    return tg.ops.resample(images, rows + (height - 1) / 2, columns + (width - 1) / 2)


def _flipped(axis: int, p: float, name: str) -> Augment:
    within(name, 0, 1, p=p)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        return tg.ops.where(chance(images, key, p), tg.ops.flip(images, axis=axis), images)

    return augment


@cautioned("it exchanges left and right: on a chest film the heart comes to lie on the wrong side")
def flip_horizontal(p: float = 0.5) -> Augment:
    """Exchanges left and right in a share ``p`` of the images."""
    return _flipped(-1, p, "flip_horizontal")


@cautioned("it exchanges top and bottom: on a film taken upright, fluid comes to float above air")
def flip_vertical(p: float = 0.5) -> Augment:
    """Exchanges top and bottom in a share ``p`` of the images."""
    return _flipped(-2, p, "flip_vertical")


def affine(
    degrees: float = 10.0, translate: float = 0.05, scale: float = 0.1, shear: float = 0.0
) -> Augment:
    """Turns, moves, scales and shears at once, so that pixels are interpolated once.

    Up to ``degrees`` either way; up to the share ``translate`` of each side; from 1 / (1 + scale)
    to 1 + scale times as large; slanted by up to ``shear`` degrees.
    """
    within("affine", 0, 180, degrees=degrees)
    within("affine", 0, 1, translate=translate)
    within("affine", 0, 10, scale=scale)
    within("affine", 0, 80, shear=shear)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        ops, (height, width), constant = tg.ops, images.shape[-2:], images.constant
        numbers = [ops.reshape(x, shape=(-1, 1, 1)) for x in drawn(images, key, 5)]
        turn, zoom, slant, down, across = numbers
        angle, tangent = turn * math.radians(degrees), ops.tan(slant * math.radians(shear))
        one = constant([[1.0, 0.0], [0.0, 1.0]])
        turned = ops.cos(angle) * one + ops.sin(angle) * constant([[0.0, 1.0], [-1.0, 0.0]])
        slanted = one + tangent * constant([[0.0, 0.0], [1.0, 0.0]])
        matrix = ops.matmul(turned, slanted) * ops.exp(zoom * -math.log1p(scale))
        rows, columns = ([i - (n - 1) / 2 for i in range(n)] for n in (height, width))
        grid = constant([[i for i in rows for _ in columns], columns * height])  # from the middle
        places = ops.reshape(ops.matmul(matrix, grid), shape=(-1, 2, height, width))
        down, across = down * (translate * height), across * (translate * width)
        return moved(images, places[:, 0] + down, places[:, 1] + across)

    return augment


def rotate(degrees: float = 10.0) -> Augment:
    """Turns by up to ``degrees`` either way."""
    return affine(degrees, 0.0, 0.0, 0.0)


def translate(share: float = 0.1) -> Augment:
    """Moves by up to that share of each side."""
    return affine(0.0, share, 0.0, 0.0)


def scale(factor: float = 0.1) -> Augment:
    """Makes from 1 / (1 + factor) to 1 + factor times as large, about the middle."""
    return affine(0.0, 0.0, factor, 0.0)


def shear(degrees: float = 10.0) -> Augment:
    """Slants by up to ``degrees`` either way: rows move sideways, the middle one stays."""
    return affine(0.0, 0.0, 0.0, degrees)


def resize(factor: float = 0.1) -> Augment:
    """Stretches height and width, each by its own factor from 1 / (1 + factor) to 1 + factor; the
    image keeps its size."""
    within("resize", 0, 10, factor=factor)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        shrink = [
            tg.ops.exp(tg.ops.reshape(x, shape=(-1, 1, 1)) * -math.log1p(factor))
            for x in drawn(images, key, 2)
        ]
        rows, columns = _from_middle(images)
        return moved(images, rows * shrink[0], columns * shrink[1])

    return augment


def crop(smallest: float = 0.8) -> Augment:
    """A part of the image, brought to the size of the whole: its sides are from ``smallest`` of
    those of the image up to all, and it lies anywhere."""
    within("crop", 0.05, 1, smallest=smallest)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        height, width = images.shape[-2:]
        numbers = [tg.ops.reshape(x, shape=(-1, 1, 1)) for x in drawn(images, key, 3)]
        share = (1 + smallest) / 2 + numbers[0] * ((1 - smallest) / 2)
        rows, columns = _from_middle(images)
        room = (1 - share) * 0.5  # on each side, where the part lies in the middle
        down, across = numbers[1] * room * (height - 1), numbers[2] * room * (width - 1)
        return moved(images, rows * share + down, columns * share + across)

    return augment


def elastic(strength: float = 0.02, points: int = 4) -> Augment:
    """Pulls at a grid of ``points`` by ``points``: each moves by a normal number of standard
    deviation ``strength`` of the side, and what is between moves smoothly (after Simard, Steinkraus
    and Platt, ICDAR 2003)."""
    within("elastic", 0, 0.5, strength=strength)
    within("elastic", 2, 64, points=points)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        ops, (n, (height, width)) = tg.ops, (images.shape[0], images.shape[-2:])
        pull = ops.normal((n, 2, points, points), std=strength, dtype=images.dtype, key=key)
        along, over = (images.constant(_bumps(side, points)) for side in (height, width))
        field = ops.matmul(ops.matmul(along, pull), ops.permute_dims(over, axes=(1, 0)))
        rows, columns = _from_middle(images)
        return moved(images, rows + field[:, 0] * height, columns + field[:, 1] * width)

    return augment


def _bumps(size: int, points: int) -> list[list[float]]:
    """How much each of the points moves each pixel of a line, a row a pixel."""
    table = []
    for i in range(size):
        place = i * (points - 1) / max(size - 1, 1)
        row = [math.exp(-0.5 * ((place - k) / BUMP) ** 2) for k in range(points)]
        table.append([x / sum(row) for x in row])
    return table
