"""A layer that Winograd's convolutions serve, and what all ways to compute it have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_numba import vector
from tensorgraph_numba.kernels import winograd_kernels as kernels
from tensorgraph_numba.kernels.winograd_layout import (
    Pair,
    Scratch,
    balanced,
    call,
    check_image,
    image,
    planes,
    planes_size,
)
from tensorgraph_numba.native import Call

BLOCK = 32  # tiles transformed at a time, by tiles
KEPT = 16 << 20  # bytes of transformed weights, or tiles, that should stay in a cache


class Layer(NamedTuple):
    """A convolution with 3x3 weights (filters, channels, 3, 3) of images (samples, channels,
    height, width): padding before and after each axis, 0 to 2."""

    samples: int
    channels: int
    filters: int
    height: int
    width: int
    padding: tuple[Pair, Pair] = ((1, 1), (1, 1))
    dtype: str = "float32"

    @property
    def out(self) -> Pair:
        """Height and width of the output."""
        (top, bottom), (left, right) = self.padding
        return self.height + top + bottom - 2, self.width + left + right - 2

    def turned(self) -> Layer:
        """The convolution of the output's gradient that gives the input's."""
        (top, bottom), (left, right) = self.padding
        padding = (2 - top, 2 - bottom), (2 - left, 2 - right)
        return Layer(self.samples, self.filters, self.channels, *self.out, padding, self.dtype)

    def tiles(self, outputs: int) -> Pair:
        """Tiles down and across an image."""
        return -(-self.out[0] // outputs), -(-self.out[1] // outputs)


def why_not(layer: Layer) -> str | None:
    """Why these kernels cannot serve a layer; None where they can."""
    if any(p not in (0, 1, 2) for pair in layer.padding for p in pair):
        return f"winograd: padding {layer.padding} is not within 0 to 2"
    if min(layer.out) < 1 or min(layer[:5]) < 1:
        return f"winograd: {layer} has no output"
    if layer.dtype not in ("float32", "float64"):
        return f"winograd: the dtype is {layer.dtype}, and float32 or float64 is needed"
    return vector.why_not()


def tile_size(layer: Layer) -> int:
    """Outputs of a tile per axis, 4 or 2: the one with fewer multiplications."""

    def multiplications(outputs: int) -> int:
        down, across = layer.tiles(outputs)
        return down * across * (outputs + 2) ** 2

    return min((2, 4), key=multiplications)


def pays(layer: Layer) -> bool:
    """Whether Winograd's way takes four fifths of a direct convolution's time, or less, where that
    does 100 GFLOP/s in float32 on one core with AVX-512 (bench/bench_winograd.py --small).

    A transform costs as much as 45 multiplications per lane, so there must be channels to share
    it, tiles to share those of the weights, and few outputs outside of the image.
    """
    (down, across), side = layer.tiles(tile_size(layer)), tile_size(layer) + 2
    lanes = vector.unit().lanes(layer.dtype)
    vectors = -(-layer.channels // lanes) + -(-layer.filters // lanes)
    height, width = layer.out
    return (
        layer.channels * layer.filters >= 5 * lanes * vectors
        and layer.samples * down * across >= 8
        and 9 * height * width > 1.5 * down * across * side**2
    )


@dataclass(frozen=True)
class Winograd:
    """What both kinds have: the layer, how many threads, outputs of a tile per axis, the schedule.

    The phases are functions of the same arguments and return the calls of one thread; what a phase
    does not use may be None.

    - x, y: the input, and the output or its gradient: (samples, channels, height, width) with the
      channels side by side. A piece of the batch for a phase that splits it, otherwise the batch.
    - w: the weights, or their gradient: (filters, channels, 3, 3), dense as (3, 3, channels,
      filters).
    - shared: at least ``shared_size`` elements, between the phases this plan's alone.
    - start: which sample of the batch the piece begins with.
    - thread: which one of ``threads``; each of them takes part in both phases.
    """

    layer: Layer
    threads: int
    outputs: int
    by_channels: bool

    @property
    def side(self) -> int:
        """Points of a transformed tile per axis."""
        return self.outputs + 2

    @property
    def points(self) -> int:
        """Points of a transformed tile."""
        return self.side**2

    @property
    def shared_size(self) -> int:
        """Elements of shared memory."""
        raise NotImplementedError

    @property
    def shared_bytes(self) -> int:
        """Bytes of shared memory."""
        return self.shared_size * np.dtype(self.layer.dtype).itemsize

    @property
    def chunk(self) -> int:
        """Samples that are best planned for at once: by channels their tiles should stay in the
        cache, by tiles it does not matter."""
        if not self.by_channels:
            return self.layer.samples
        one = replace(self, layer=self.layer._replace(samples=1)).shared_bytes
        return max(1, min(self.layer.samples, KEPT // one))

    @property
    def samples_of_block(self) -> int:
        """The fewest samples that are worth a call: by tiles, the transformed weights are read for
        each block, and a block should not be a small one."""
        return 1 if self.by_channels else -(-BLOCK // self.total(1))

    def total(self, samples: int) -> int:
        """Tiles of so many samples."""
        down, across = self.layer.tiles(self.outputs)
        return samples * down * across

    def block(self, total: int) -> int:
        """Tiles of a block, by tiles: more where there are many weights, which are read for each.
        From 16 to 96 tiles times differ by less than a tenth where caches are large."""
        channels, filters = self.layer.channels, self.layer.filters
        most = max(channels * filters // (channels + filters), BLOCK)
        return balanced(total, min(most, 2 * BLOCK))

    def size(self, rows: int, columns: int, group: int) -> int:
        """Elements of planes, in groups of so many columns."""
        return planes_size(self.points, rows, columns, group, self.layer.dtype)

    def planes(self, memory: Any, rows: int, columns: int, group: int) -> Any:
        """Planes at the beginning of memory."""
        return planes(memory, self.points, rows, columns, group)

    def take(self, scratch: Scratch, rows: int, columns: int) -> Any:
        """Planes in scratch, of one group."""
        return self.planes(scratch(self.size(rows, columns, columns)), rows, columns, columns)

    def input_words(self, x: Any) -> tuple[Any, ...]:
        """A checked input in words."""
        shape = (None, self.layer.channels, self.layer.height, self.layer.width)
        check_image("x", x, shape, self.layer.dtype)
        (top, _), (left, _) = self.layer.padding
        return image(x, self.side, self.outputs, (top, left), self.layer.tiles(self.outputs))

    def output_words(self, y: Any) -> tuple[Any, ...]:
        """A checked output in words."""
        check_image("y", y, (None, self.layer.filters, *self.layer.out), self.layer.dtype)
        return image(y, self.outputs, self.outputs, (0, 0), self.layer.tiles(self.outputs))

    def check_pair(self, x: Any, y: Any) -> None:
        """Refuse an input and an output of different batches."""
        if len(x) != len(y):
            raise ValueError(f"winograd: x has {len(x)} samples and y has {len(y)}")

    def spread_input(self, x: Any, v: Any, scratch: Scratch) -> Call:
        """All tiles of a piece to rows of planes."""
        channels = self.layer.channels
        return call(
            kernels.spread_x, self.layer.dtype, self.side, scratch, v.shape[2], channels,
            x=self.input_words(x), v=v, channels=channels,
        )  # fmt: skip

    def check_shared(self, shared: Any) -> None:
        """Refuse memory that is too small."""
        if shared.size < self.shared_size or shared.dtype.name != self.layer.dtype:
            raise ValueError(
                f"winograd: shared is {shared.dtype}[{shared.size}], and "
                f"{self.layer.dtype}[{self.shared_size}] is needed"
            )

    def rows_of(self, x: Any, start: int) -> slice:
        """Rows of the tiles of a piece."""
        if not 0 <= start <= start + len(x) <= self.layer.samples:
            raise ValueError(
                f"winograd: samples {start} to {start + len(x)} are not within the "
                f"{self.layer.samples} that this is planned for"
            )
        return slice(self.total(start), self.total(start + len(x)))
