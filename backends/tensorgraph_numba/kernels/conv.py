"""Convolutions of any stride, padding, dilation and groups, and their gradient in the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph_numba.kernels.choice import CACHE
from tensorgraph_numba.kernels.conv_panels import (
    Form,
    conv_count,
    conv_input_count,
    conv_input_weights,
    conv_weights,
    weights_for,
)
from tensorgraph_numba.kernels.correlate import Correlation, Images, Sizes, Weights
from tensorgraph_numba.kernels.program import Place, Program
from tensorgraph_numba.kernels.spans import (
    Geometry,
    Ints,
    Pairs,
    Span,
    backward,
    channels_last,
    forward,
    geometry,
    spatial_strides,
)
from tensorgraph_numba.native import Call

__all__ = [
    "conv",
    "conv_count",
    "conv_input",
    "conv_input_count",
    "conv_input_weights",
    "conv_weights",
    "turns_of",
]

Scratch = Callable[[int], Any]


def conv(
    x: Any, w: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    bias: Any = None, prepared: Any = None, scratch: Scratch | None = None,
) -> list[Call]:  # fmt: skip
    """Calls for y = convolution of x with w, plus the bias (F,) if there is one.

    ``x`` (N, C, spatial…) and ``y`` (N, F, spatial…): dense samples, channels last; ``w``
    (F, C / groups, taps…): dense, filters last; one to three spatial axes. ``prepared``: what
    ``conv_weights`` made of w; worth it where ``conv_count`` is not 0. Raises ValueError where
    shapes or layouts do not fit.
    """
    shape = geometry("conv", x, w, y, stride, padding, dilation, groups)
    if bias is not None and (bias.shape != w.shape[:1] or not bias.flags.c_contiguous):
        raise ValueError(f"conv: a bias of shape {bias.shape} does not fit {w.shape[0]} filters")
    made, weights = weights_for("conv", shape, w, prepared, False)
    kept = [z for z in (x, w, y, bias, prepared) if z is not None]
    spans = [forward(axis) for axis in shape.axes]
    first = 0 if bias is None else int(bias.ctypes.data)
    images = channels_last("conv", x), channels_last("conv", y)
    return _correlate(shape, made, images, weights, spans, first, kept)


def conv_input(
    y: Any, w: Any, x: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    prepared: Any = None, scratch: Scratch | None = None,
) -> list[Call]:  # fmt: skip
    """Calls for the gradient x in the image, from the gradient y of a convolution with w; layouts
    as for ``conv``. ``prepared``: what ``conv_input_weights`` made of w; needed where
    ``conv_input_count`` is not 0."""
    shape = geometry("conv_input", x, w, y, stride, padding, dilation, groups)
    made, weights = weights_for("conv_input", shape, w, prepared, True)
    kept = [z for z in (x, w, y, prepared) if z is not None]
    spans = [backward(axis, made.kind == "product") for axis in shape.axes]
    images = channels_last("conv_input", y), channels_last("conv_input", x)
    return _correlate(shape, made, images, weights, spans, 0, kept)


def _correlate(
    shape: Geometry, made: Form, views: Sequence[Any], weights: Weights,
    spans: Sequence[Sequence[Span]], bias: int, kept: Sequence[Any],
) -> list[Call]:  # fmt: skip
    """The calls, as many samples at a time as stay in the cache."""
    dtype, size = str(views[0].dtype), views[0].itemsize
    if not views[1].size:
        return []
    each = sum(math.prod(view.shape[1:]) for view in views) * size
    at_once = max(1, min(shape.samples, CACHE // 2 // each))
    calls = []
    for first, turns, samples in turns_of(shape.samples, at_once):
        images = [
            Images(
                int(view.ctypes.data) + first * view.strides[0], view.strides[0],
                spatial_strides(view), size,
            )
            for view in views
        ]  # fmt: skip
        groups = 1 if made.kind == "lanes" else shape.groups
        sizes = Sizes(samples, groups, made.depth, made.columns, made.kind)
        program = Program(dtype, turns, kept)
        work = Correlation(program, images[0], weights, images[1], sizes, made.cut, bias)
        work.write(spans, Place(samples * images[0].sample, 0, samples * images[1].sample))
        calls += program.calls()
    return calls


def turns_of(samples: int, at_once: int) -> list[tuple[int, int, int]]:
    """First sample, turns, and samples in each: equal turns, and a rest."""
    turns, rest = divmod(samples, at_once)
    out = [(0, turns, at_once)] if turns else []
    return [*out, (turns * at_once, 1, rest)] if rest else out
