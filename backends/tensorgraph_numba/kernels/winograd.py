"""Winograd's 3x3 convolutions with stride 1, forward and both gradients, in two schedules.

Each of `Convolution`, which is the input gradient too, and `WeightGradient` has two phases with a
barrier between them, `first` and `second`; `splits` says what a phase divides among the threads:
"batch" (its images are the thread's piece) or "channels" (its images are whole).

    plan = convolution(Layer(32, 64, 64, 32, 32), threads=2)
    shared = np.empty(plan.shared_size, "float32")
    for phase, splits in zip((plan.first, plan.second), plan.splits):
        for t in range(2):  # on two threads, and then a barrier
            n = 16 * t if splits == "batch" else 0
            some = slice(n, n + 16) if splits == "batch" else slice(None)
            run(phase(x[some], w, y[some], shared, start=n, thread=t, scratch=scratch))

- By tiles: the transformed weights, or their gradient, are kept, and a thread works through its
  piece of the batch in blocks of tiles that stay in its cache. The first phase of `Convolution`
  reads the weights only: it can run once for all pieces and chunks of a step.
- By channels, for weights that would not stay in the cache when transformed: the transformed tiles
  are kept, and a thread transforms a part of the weights at a time and never stores them.

Largest errors in float32 against the largest value in float64, normal data, 32 to 512 channels; a
gradient of weights sums over 32 to 4096 tiles (bench/bench_winograd.py --errors):

| | forward, input gradient | weight gradient |
|---|---|---|
| F(4x4) | 1.2e-6 to 4.7e-6 | 1.0e-6 to 8.2e-6 |
| F(2x2) | 0.3e-6 to 1.0e-6 | 0.6e-6 to 7.4e-6 |
| direct (PyTorch 2.13) | 0.3e-6 to 0.5e-6 | 0.8e-6 to 7.1e-6 |
| direct (`conv.py`, one running sum) | 0.5e-6 to 3.0e-6 | 0.5e-6 to 4.6e-6 |

A direct sum's error is bounded by the magnitudes of its own terms, that of a tile's outputs by the
largest value of the tile, also where an output does not depend on it: beside a pixel of 1e6 the
others are wrong in the first digit, beside an infinite one they are NaN. So neither tile is used
where ``precision`` is "strict" (tests/test_precision.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensorgraph_numba import vector
from tensorgraph_numba.kernels import winograd_kernels as kernels
from tensorgraph_numba.kernels.winograd_layer import KEPT, Layer, Winograd, pays, tile_size, why_not
from tensorgraph_numba.kernels.winograd_layout import (
    DEPTH,
    Scratch,
    balanced,
    call,
    check_weights,
    panel,
    panels,
    share_of,
)
from tensorgraph_numba.native import Call

LARGEST_BLOCK = 128  # tiles whose products are kept at a time, by channels


__all__ = [
    "Convolution",
    "Layer",
    "WeightGradient",
    "convolution",
    "input_gradient",
    "pays",
    "weight_gradient",
    "why_not",
]


@dataclass(frozen=True)
class Convolution(Winograd):
    """A convolution; with ``backwards`` the one that gives the input's gradient: ``layer`` is the
    turned one, x the output's gradient, y the input's, w the weights as they are."""

    backwards: bool = False

    @property
    def splits(self) -> tuple[str, str]:
        """What each phase divides."""
        return ("batch", "channels") if self.by_channels else ("channels", "batch")

    @property
    def shared_size(self) -> int:
        """Elements of shared memory: transformed tiles, or weights."""
        if self.by_channels:
            return self.size(self.total(self.layer.samples), self.layer.channels, DEPTH)
        return self.size(self.layer.channels, self.layer.filters, panel(self.layer.dtype))

    def _check_weights(self, w: Any) -> None:
        pair = (self.layer.filters, self.layer.channels)
        check_weights("w", w, (*(pair[::-1] if self.backwards else pair), 3, 3), self.layer.dtype)

    def first(
        self, x: Any, w: Any, y: Any, shared: Any, *, start: int = 0, thread: int = 0,
        scratch: Scratch,
    ) -> list[Call]:  # fmt: skip
        """By tiles: a part of the weights to shared. By channels: a piece of x."""
        layer = self.layer
        self.check_shared(shared)
        if self.by_channels:
            v = self.planes(shared, self.total(layer.samples), layer.channels, DEPTH)
            return [self.spread_input(x, v[:, :, self.rows_of(x, start)], scratch)]
        self._check_weights(w)
        blocks = -(-layer.channels // vector.unit().lanes(layer.dtype))
        share = share_of(panels(layer.filters, layer.dtype) * blocks, thread, self.threads)
        u = self.planes(shared, layer.channels, layer.filters, panel(layer.dtype))
        return [
            call(
                kernels.weigh, layer.dtype, self.side, scratch, *share, layer.channels,
                w=w, backwards=self.backwards, u=u,
            )
        ]  # fmt: skip

    def second(
        self, x: Any, w: Any, y: Any, shared: Any, *, start: int = 0, thread: int = 0,
        scratch: Scratch,
    ) -> list[Call]:  # fmt: skip
        """By tiles: a piece of y from x and shared. By channels: a part of y's channels from shared
        and w."""
        layer, width = self.layer, panel(self.layer.dtype)
        self.check_shared(shared)
        if self.by_channels:
            return self._second_by_channels(w, y, shared, thread, scratch)
        given, out = self.input_words(x), self.output_words(y)
        self.check_pair(x, y)
        total = self.total(len(y))
        block = self.block(total)
        return [
            call(
                kernels.by_tiles, layer.dtype, self.side, scratch,
                total, block, layer.channels, layer.filters,
                x=given, y=out, channels=layer.channels,
                v=self.take(scratch, block, layer.channels), d=self.take(scratch, block, width),
                u=self.planes(shared, layer.channels, layer.filters, width),
            )
        ]  # fmt: skip

    def _second_by_channels(
        self, w: Any, y: Any, shared: Any, thread: int, scratch: Scratch
    ) -> list[Call]:
        layer, width = self.layer, panel(self.layer.dtype)
        self._check_weights(w)
        out = self.output_words(y)
        if len(y) != layer.samples:
            raise ValueError(f"winograd: y has {len(y)} samples, planned are {layer.samples}")
        total = self.total(layer.samples)
        block = balanced(total, LARGEST_BLOCK)
        share = share_of(panels(layer.filters, layer.dtype), thread, self.threads)
        return [
            call(
                kernels.by_channels, layer.dtype, self.side, scratch,
                total, block, layer.channels, layer.filters, *share, y=out, w=w,
                backwards=self.backwards, v=self.planes(shared, total, layer.channels, DEPTH),
                d=self.take(scratch, block, width), u=self.take(scratch, DEPTH, width),
            )
        ]  # fmt: skip


@dataclass(frozen=True)
class WeightGradient(Winograd):
    """The gradient of the weights, w, from the input and the output's gradient, y.

    By tiles, each thread sums what its pieces give: ``first`` with ``accumulate`` adds to what it
    did before. ``second`` with ``accumulate`` adds to w.
    """

    @property
    def splits(self) -> tuple[str, str]:
        """What each phase divides."""
        return "batch", "channels"

    @property
    def shared_size(self) -> int:
        """Elements of shared memory: transformed tiles, or each thread's sums."""
        layer, total = self.layer, self.total(self.layer.samples)
        if not self.by_channels:
            return self.threads * self.size(layer.channels, layer.filters, layer.filters)
        gradient = self.size(total, layer.filters, panel(layer.dtype))
        return self.size(total, layer.channels, DEPTH) + gradient

    def _kept(self, shared: Any) -> tuple[Any, Any]:
        """The planes of x and y, by channels."""
        layer, total = self.layer, self.total(self.layer.samples)
        v = self.planes(shared, total, layer.channels, DEPTH)
        behind = shared[self.size(total, layer.channels, DEPTH) :]
        return v, self.planes(behind, total, layer.filters, panel(layer.dtype))

    def _sums(self, shared: Any, thread: int) -> Any:
        """A thread's sums, by tiles."""
        columns = self.layer.filters
        size = self.size(self.layer.channels, columns, columns)
        return self.planes(shared[thread * size :], self.layer.channels, columns, columns)

    def first(
        self, x: Any, w: Any, y: Any, shared: Any, *, start: int = 0, thread: int = 0,
        accumulate: bool = False, scratch: Scratch,
    ) -> list[Call]:  # fmt: skip
        """By tiles: sums over a piece of x and y. By channels: their tiles to shared."""
        layer = self.layer
        self.check_shared(shared)
        given, gradient = self.input_words(x), self.output_words(y)
        self.check_pair(x, y)
        if self.by_channels:
            if accumulate:
                raise ValueError(
                    "winograd: by channels, the first phase keeps tiles and adds up nothing: "
                    "run the second after each, with accumulate"
                )
            v, d = (planes[:, :, self.rows_of(x, start)] for planes in self._kept(shared))
            return [
                self.spread_input(x, v, scratch),
                call(
                    kernels.spread_y, layer.dtype, self.side, scratch, d.shape[2], layer.filters,
                    y=gradient, d=d, channels=layer.filters,
                ),
            ]  # fmt: skip
        total = self.total(len(x))
        block = self.block(total)
        return [
            call(
                kernels.gradient_by_tiles, layer.dtype, self.side, scratch,
                total, block, layer.channels, layer.filters, accumulate,
                x=given, y=gradient, channels=max(layer.channels, layer.filters),
                v=self.take(scratch, block, layer.channels),
                d=self.take(scratch, block, layer.filters), u=self._sums(shared, thread),
            )
        ]  # fmt: skip

    def second(
        self, x: Any, w: Any, y: Any, shared: Any, *, start: int = 0, thread: int = 0,
        accumulate: bool = False, scratch: Scratch,
    ) -> list[Call]:  # fmt: skip
        """A part of w from shared."""
        layer = self.layer
        self.check_shared(shared)
        check_weights("w", w, (layer.filters, layer.channels, 3, 3), layer.dtype)
        if self.by_channels:
            v, d = self._kept(shared)
            share = share_of(panels(layer.filters, layer.dtype), thread, self.threads)
            return [
                call(
                    kernels.gradient_by_channels, layer.dtype, self.side, scratch,
                    v.shape[2], balanced(v.shape[2], LARGEST_BLOCK), accumulate, *share,
                    w=w, v=v, d=d, u=self.take(scratch, DEPTH, panel(layer.dtype)),
                )
            ]  # fmt: skip
        begin, end = share_of(layer.channels, thread, self.threads)
        return [
            call(
                kernels.unweigh, layer.dtype, self.side, scratch,
                begin, end, accumulate or other > 0,
                w=w, u=self._sums(shared, other)[:, :, begin:],
            )
            for other in range(self.threads)
            if begin < end
        ]  # fmt: skip


def _method(
    layer: Layer, threads: int, outputs: int | None, by_channels: bool | None
) -> tuple[Layer, int, int, bool]:
    """The rule of `convolution` and the others."""
    reason = why_not(layer)
    if reason is None and outputs not in (None, 2, 4):
        reason = f"winograd: a tile of {outputs} outputs per axis; there are 2 and 4"
    if reason is not None:
        raise ValueError(reason)
    outputs = outputs or tile_size(layer)
    if by_channels is None:
        kept = Convolution(layer, threads, outputs, False).shared_bytes <= KEPT
        by_channels = not kept and panels(layer.filters, layer.dtype) >= threads
    return layer, threads, outputs, by_channels


def convolution(
    layer: Layer, threads: int = 1, *, outputs: int | None = None, by_channels: bool | None = None
) -> Convolution:
    """How to compute a layer: the tile with fewer multiplications; by channels from 16 MiB of
    transformed weights on. Raises ValueError where `why_not` has a reason."""
    return Convolution(*_method(layer, threads, outputs, by_channels))


def input_gradient(
    layer: Layer, threads: int = 1, *, outputs: int | None = None, by_channels: bool | None = None
) -> Convolution:
    """How to compute the gradient of a layer's input: x is that of the output, y that of the input;
    chosen as in `convolution`."""
    return Convolution(*_method(layer.turned(), threads, outputs, by_channels), True)


def weight_gradient(
    layer: Layer, threads: int = 1, *, outputs: int | None = None, by_channels: bool | None = None
) -> WeightGradient:
    """How to compute the gradient of a layer's weights; chosen as in `convolution`."""
    return WeightGradient(*_method(layer, threads, outputs, by_channels))
