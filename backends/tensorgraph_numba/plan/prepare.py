"""Convolutions in the steps that their kernels take: filters prepared once for all pieces of the
batch, and Winograd's way in its two phases."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from tensorgraph_numpy.plan.split import Axes, Batch, Rule, Split, split_matmul

from tensorgraph import Op, Shaped, Spec, config
from tensorgraph.op import op
from tensorgraph.program import Call, Program, Value
from tensorgraph_numba.kernels import conv as direct
from tensorgraph_numba.kernels import winograd
from tensorgraph_numba.plan import batch_moments, draws
from tensorgraph_numba.plan.orders import Order, channels_last, filters_last

LARGE = 100_000  # numbers: 400 KB, much of the cache
GEOMETRY = ("stride", "padding", "dilation", "groups")


@op
def conv_panels(
    w: Shaped, *, x: Spec, y: Spec, count: int, backwards: bool, geometry: tuple[Any, ...]
) -> Spec:
    """The filters of a convolution from ``x`` to ``y``, of ``count`` elements, for its kernels;
    ``backwards`` for the gradient in ``x``."""
    return Spec((count,), w.dtype)


def phantom(spec: Spec, order: Order | None) -> Any:
    """An array with the strides that a value would have, and without its memory."""
    strides = [0] * spec.ndim
    step = np.dtype(spec.dtype).itemsize
    for axis in reversed(order or tuple(range(spec.ndim))):
        strides[axis] = step
        step *= max(1, spec.shape[axis])
    return np.lib.stride_tricks.as_strided(np.empty(1, spec.dtype), spec.shape, strides)


def of_images(x: Spec, w: Spec, y: Spec) -> tuple[Any, Any, Any]:
    """Phantoms of an image, filters and a result."""
    return (
        phantom(x, channels_last(x.ndim)),
        phantom(w, filters_last(w.ndim)),
        phantom(y, channels_last(y.ndim)),
    )


@op
def winograd_weights(w: Shaped, *, plan: Any) -> Spec:
    """The transformed filters of a convolution by tiles."""
    return Spec((plan.shared_size,), w.dtype)


@op
def winograd_pieces(x: Shaped, weights: Shaped, *, plan: Any) -> Spec:
    """A convolution by tiles, with transformed filters."""
    return Spec((x.shape[0], plan.layer.filters, *plan.layer.out), x.dtype)


@op
def winograd_tiles(x: Shaped, *, plan: Any) -> Spec:
    """The transformed tiles of a convolution by channels."""
    return Spec((plan.shared_size,), x.dtype)


@op
def winograd_channels(tiles: Shaped, w: Shaped, *, plan: Any) -> Spec:
    """A convolution by channels, of transformed tiles."""
    return Spec((plan.layer.samples, plan.layer.filters, *plan.layer.out), w.dtype)


@op
def winograd_sums(x: Shaped, y: Shaped, *, plan: Any) -> Spec:
    """What the pieces contribute to the gradient of the filters, not yet transformed."""
    return Spec((plan.shared_size,), x.dtype)


@op
def winograd_gradient(sums: Shaped, *, plan: Any) -> Spec:
    """The gradient of the filters."""
    return Spec((plan.layer.filters, plan.layer.channels, 3, 3), sums.dtype)


def _matmul(call: Call, axes: Axes) -> Split | None:
    """Products with large weights are computed at once: for each piece they would all be read. Of
    stacks of matrices each sample has its own."""
    ndim = call.out.spec.ndim
    if ndim > 2:
        apart = all(
            axes.get(x) == 0 and x.spec.ndim == ndim if x in axes else x.spec.ndim == 2
            for x in call.inputs
        )
        return Split(0) if apart else None
    split = split_matmul(call, axes)
    weights = [x.spec.size for x in (*call.inputs, call.out) if x not in axes and x.spec.ndim == 2]
    if split is None or not weights:
        return split
    return split._replace(whole=max(weights, default=0) >= LARGE)


def _direct(plan: Any) -> int:
    """The operations of a direct convolution between the images of a plan: for each pixel of the
    convolution's output, which a plan of the input's gradient reads."""
    layer = plan.layer
    backwards = getattr(plan, "backwards", False)
    height, width = (layer.height, layer.width) if backwards else layer.out
    return int(2 * layer.samples * height * width * layer.channels * layer.filters * 9)


conv_panels.flops(lambda out, w, **_: 0)
winograd_weights.flops(lambda out, w, *, plan: 0)
winograd_pieces.flops(lambda out, x, weights, *, plan: _direct(plan))
winograd_tiles.flops(lambda out, x, *, plan: 0)
winograd_channels.flops(lambda out, tiles, w, *, plan: _direct(plan))
winograd_sums.flops(lambda out, x, y, *, plan: 0 if plan.by_channels else _direct(plan))
winograd_gradient.flops(lambda out, sums, *, plan: _direct(plan) if plan.by_channels else 0)
SPLITS: dict[str, Rule] = {
    **batch_moments.SPLIT,
    **draws.SPLITS,
    "matmul": _matmul,
    "winograd_pieces": lambda call, axes: Split(0) if axes.get(call.inputs[0]) == 0 else None,
    "winograd_tiles": lambda call, axes: Split(None, filled=True),
    "winograd_channels": lambda call, axes: Split(0, whole=True),
    "winograd_sums": lambda call, axes: Split(None, filled=True),
}


class Preparation:
    """Rewrites the convolutions of a program."""

    def __init__(self, program: Program, batch: Batch, threads: int) -> None:
        self.program = dataclasses.replace(program, calls=[])
        self.batch = batch
        self.threads = threads
        self.made: dict[Any, Value] = {}

    def call(self, op: Op[...], *inputs: Value, out: Value | None = None, **params: Any) -> Value:
        """Add a call, or find the same one among those that were added."""
        key = (op, inputs, tuple(params.items()))
        if out is None and key in self.made:
            return self.made[key]
        made = out if out is not None else Value(op.shape_rule(*[x.spec for x in inputs], **params))
        self.program.calls.append(Call(op, inputs, params, made))
        self.made[key] = made
        return made

    def add(self, call: Call) -> None:
        """Add a call, in other words if it is a convolution."""
        name = call.op.name
        if name in ("conv", "conv_input", "conv_weight") and self._split(call):
            if not self._winograd(call):
                self._direct(call)
        elif name == "conv_input":
            self._direct(call)  # its kernel takes no other filters than those
        else:
            self.program.calls.append(call)

    def _split(self, call: Call) -> bool:
        return call.out in self.batch.axes or call.out in self.batch.sums

    def _winograd(self, call: Call) -> bool:
        first, second = call.inputs
        backwards, weight = call.op.name == "conv_input", call.op.name == "conv_weight"
        x, y = (call.out, first) if backwards else (first, second if weight else call.out)
        w = call.out if weight else second
        plain = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}
        if config.current().precision.value == "strict":
            return False  # a tile's errors are those of its largest value, in all of its outputs
        if w.spec.shape[2:] != (3, 3) or any(call.params[k] != v for k, v in plain.items()):
            return False
        n, c, height, width = x.spec.shape
        padding = call.params["padding"]
        layer = winograd.Layer(n, c, y.spec.shape[1], height, width, padding, x.spec.dtype)
        if winograd.why_not(layer) is not None or not winograd.pays(layer):
            return False
        if weight:
            gradient = winograd.weight_gradient(layer, self.threads)
            sums = self.call(winograd_sums, x, y, plan=gradient)
            self.call(winograd_gradient, sums, out=call.out, plan=gradient)
            return True
        make = winograd.input_gradient if backwards else winograd.convolution
        plan = make(layer, self.threads)
        if plan.by_channels:
            tiles = self.call(winograd_tiles, first, plan=plan)
            self.call(winograd_channels, tiles, w, out=call.out, plan=plan)
        else:
            weights = self.call(winograd_weights, w, plan=plan)
            self.call(winograd_pieces, first, weights, out=call.out, plan=plan)
        return True

    def _direct(self, call: Call) -> None:
        if call.op.name == "conv_weight":
            self.program.calls.append(call)
            return
        first, w = call.inputs
        backwards = call.op.name == "conv_input"
        x, y = (call.out, first) if backwards else (first, call.out)
        geometry = {name: call.params[name] for name in GEOMETRY}
        counted = direct.conv_input_count if backwards else direct.conv_count
        count = counted(*of_images(x.spec, w.spec, y.spec), **geometry)
        inputs = [first, w]
        if count:
            params: dict[str, Any] = {
                "x": x.spec,
                "y": y.spec,
                "count": count,
                "backwards": backwards,
                "geometry": tuple(geometry.items()),
            }
            inputs.append(self.call(conv_panels, w, **params))
        self.program.calls.append(dataclasses.replace(call, inputs=tuple(inputs)))


def prepared(program: Program, batch: Batch, threads: int) -> Program:
    """The program with its convolutions in the steps of their kernels."""
    work = Preparation(program, batch, threads)
    for call in program.calls:
        work.add(call)
    return work.program
