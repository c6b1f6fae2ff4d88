"""What another scanner does to an image, simulated in three strengths; and hiding parts of it.

Images are (n, C, H, W) or (n, C, D, H, W), float64, 0 being dark and 1 bright in these data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

SEED = 0
Apply = Callable[[Any, Any], Any]  # of images and their indices
CORNERS = {
    "top left corner": (0, 0),
    "top right corner": (0, 1),
    "bottom left corner": (1, 0),
    "bottom right corner": (1, 1),
}


class Change(NamedTuple):
    """A change, how strong it is, and what does it."""

    name: str
    strength: str
    apply: Apply


def changes() -> Iterator[Change]:
    """Each kind, from weak to strong."""
    for factor in (0.75, 0.5, 0.25):
        yield Change("contrast", f"× {factor}", _contrast(factor))
    for power in (1.25, 1.5, 2.0):
        yield Change("darker", f"gamma {power}", _gamma(power))
    for power in (0.8, 0.667, 0.5):
        yield Change("brighter", f"gamma {power}", _gamma(power))
    for sd in (0.02, 0.05, 0.1):
        yield Change("noise", f"sd {sd}", _noise(sd))
    for share in (0.02, 0.04, 0.08):
        yield Change("blur", f"sd {share:.0%} of side", _along(_blurred(share)))
    for factor in (1.5, 2.0, 4.0):
        yield Change("resolution", f"1 / {factor:g}", _along(_coarse(factor)))


def hidden() -> Iterator[Change]:
    """Parts where a marker or a label may be, and the middle, where most images show what they are
    about; each filled with the image's median."""
    for name, (low, right) in CORNERS.items():
        yield Change(name, "1/4 of sides", _hide(_corner(low, right)))
    yield Change("border", "1/8 of sides", _hide(lambda size: ~_middle(size)))
    yield Change("all but the border", "", _hide(_middle))


def _contrast(factor: float) -> Apply:
    def apply(x: Any, indices: Any) -> Any:
        mean = x.mean(tuple(range(1, x.ndim)), keepdims=True)
        return mean + (x - mean) * factor

    return apply


def _gamma(power: float) -> Apply:
    return lambda x, indices: np.sign(x) * np.abs(x) ** power


def _noise(sd: float) -> Apply:
    """The same for an image whatever batch it is in."""

    def apply(x: Any, indices: Any) -> Any:
        drawn = [
            np.random.default_rng((SEED, int(i))).standard_normal(x.shape[1:]) for i in indices
        ]
        return x + sd * np.stack(drawn)

    return apply


def _along(matrix: Callable[[int], Any]) -> Apply:
    """A linear change along each spatial axis, one after the other."""

    def apply(x: Any, indices: Any) -> Any:
        for axis in range(2, x.ndim):
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix(x.shape[axis]).T, -1, axis)
        return x

    return apply


def _blurred(share: float) -> Callable[[int], Any]:
    """A bell curve of that share of the side, cut off and renewed at the edges."""

    def matrix(size: int) -> Any:
        apart = np.arange(size)[:, None] - np.arange(size)
        bell = np.exp(-0.5 * (apart / max(share * size, 1e-3)) ** 2)
        return bell / bell.sum(1, keepdims=True)

    return matrix


def _coarse(factor: float) -> Callable[[int], Any]:
    """Fewer, larger pixels, each the mean of what it covers, then linear between their middles."""

    def matrix(size: int) -> Any:
        few = max(1, math.ceil(size / factor))
        edges = np.linspace(0, size, few + 1)
        starts, ends = edges[:-1, None], edges[1:, None]
        covered = np.minimum(ends, np.arange(size) + 1) - np.maximum(starts, np.arange(size))
        down = np.clip(covered, 0, None)
        down /= down.sum(1, keepdims=True)
        place = np.clip((np.arange(size) + 0.5) * few / size - 0.5, 0, few - 1)
        up = np.clip(1 - np.abs(place[:, None] - np.arange(few)), 0, None)
        return up @ down

    return matrix


def _hide(where: Callable[[tuple[int, ...]], Any]) -> Apply:
    def apply(x: Any, indices: Any) -> Any:
        fill = np.median(x.reshape(len(x), -1), 1).reshape(-1, *(1,) * (x.ndim - 1))
        return np.where(where(x.shape[2:]), fill, x)

    return apply


def _corner(low: int, right: int) -> Callable[[tuple[int, ...]], Any]:
    """A quarter of the sides, through all slices of a volume."""

    def where(size: tuple[int, ...]) -> Any:
        inside = np.zeros(size, bool)
        rows, columns = (max(1, math.ceil(n / 4)) for n in size[-2:])
        inside[
            ...,
            slice(-rows, None) if low else slice(rows),
            slice(-columns, None) if right else slice(columns),
        ] = True
        return inside

    return where


def _middle(size: tuple[int, ...]) -> Any:
    inside = np.zeros(size, bool)
    rows, columns = (max(1, n // 8) for n in size[-2:])
    inside[..., rows:-rows, columns:-columns] = True
    return inside
