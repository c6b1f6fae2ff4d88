"""Copies from one layout into another, images between their pixels, random words."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import move, random, resample
from tensorgraph_cupy.kernels.move import strides_of

from bench.cuda.case import Case
from bench.cuda.counts import bytes_of
from bench.cuda.ground import Ground, Held, Trial
from bench.cuda.passes import SINGLE, Ints, named


def moves(small: bool) -> Iterator[Case]:
    yield from moved(small)
    yield from resampled(small)
    yield from drawn(small)


def moved(small: bool) -> Iterator[Case]:
    tiny: list[Ints] = [(2, 8, 6, 6)]
    shapes: list[Ints] = [(256, 3, 224, 224), (256, 64, 56, 56)]
    for shape in tiny if small else shapes:
        for given, wanted in ((SINGLE, SINGLE), (SINGLE, "bfloat16"), ("bfloat16", "bfloat16")):
            size = bytes_of((shape, given), (shape, wanted))
            make = functools.partial(_moved, shape, given, wanted)
            name = "NCHW to NHWC" + f", from {given}" * (given != wanted)
            yield Case(name, named(shape), wanted, size, 0, make, first=True)


def _moved(shape: Ints, given: str, wanted: str, ground: Ground) -> Trial:
    flat, out = ground.random((math.prod(shape),), given), ground.empty(shape, wanted)
    strides = strides_of(shape)
    x = flat._replace(view=flat.view._replace(shape=shape, strides=strides))
    sides = [move.Flat(each.address, each.view.dtype, each.view.strides) for each in (x, out)]

    def ours(device: Device) -> None:
        move.copy(device, shape, sides[0], sides[1])

    if (torch := ground.torch) is None:
        return Trial(ours, None, (out,), (flat,))
    a, b = ground.tensor(x), torch.empty_like(ground.tensor(out))
    return Trial(ours, lambda: b.copy_(a), (out,), (flat,))


def resampled(small: bool) -> Iterator[Case]:
    tiny: list[Ints] = [(2, 3, 8, 8)]
    shapes: list[Ints] = [(256, 3, 224, 224), (512, 1, 28, 28), (128, 3, 32, 32)]
    for shape in tiny if small else shapes:
        places = (shape[0], *shape[2:])
        size = bytes_of((shape, SINGLE), (shape, SINGLE), (places, SINGLE), (places, SINGLE))
        make = functools.partial(_resampled, shape)
        flops = 6 * math.prod(shape)
        yield Case("images turned", named(shape), SINGLE, size, flops, make, first=shape[2] == 224)


def _resampled(shape: Ints, ground: Ground) -> Trial:
    """Turned by some degrees; places beyond the border are those on it."""
    n, channels, height, width = shape
    x, out = ground.random(shape), ground.empty(shape)
    angles = np.random.default_rng(2).uniform(-0.3, 0.3, (n, 1, 1))
    y, across = np.mgrid[:height, :width] - np.reshape(
        [(height - 1) / 2, (width - 1) / 2], (2, 1, 1)
    )
    rows = np.cos(angles) * y - np.sin(angles) * across + (height - 1) / 2
    columns = np.sin(angles) * y + np.cos(angles) * across + (width - 1) / 2
    held: list[Held] = [
        ground.put(np.clip(at, 0, last).astype(np.float32).reshape(n, -1))
        for at, last in ((rows, height - 1), (columns, width - 1))
    ]
    where = [(each.address, strides_of((n, height, width))) for each in held]

    def ours(device: Device) -> None:
        images, places = (n, height, width, channels), (height, width)
        resample.resample(device, SINGLE, images, places, x.address, out.address, *where)

    if (torch := ground.torch) is None:
        return Trial(ours, None, (out,), (x, held))
    a = ground.tensor(x)
    down, along = (ground.tensor(each).reshape(n, height, width) for each in held)
    grid = torch.stack([2 * along / (width - 1) - 1, 2 * down / (height - 1) - 1], -1)
    sampled = functools.partial(
        torch.nn.functional.grid_sample, a, grid, padding_mode="border", align_corners=True
    )
    return Trial(ours, sampled, (out,), (x, held))


def drawn(small: bool) -> Iterator[Case]:
    n = 64 if small else 1 << 26
    make = functools.partial(_drawn, n)
    yield Case("random words", str(n), SINGLE, 4 * n, 0, make, first=True)


def _drawn(n: int, ground: Ground) -> Trial:
    """Nothing is compared: PyTorch draws other words."""
    key, out = ground.put(np.arange(1, 5, dtype=np.uint32)), ground.empty((n,), "uint32")

    def ours(device: Device) -> None:
        random.words(device, key.address, out.address, 1, n)

    if ground.torch is None:
        return Trial(ours, None, (out,), (key,))
    a = ground.tensor(out).clone()
    return Trial(ours, a.random_, (), (key, out))
