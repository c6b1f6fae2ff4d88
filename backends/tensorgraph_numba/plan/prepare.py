"""Filters brought into the form that a convolution's kernels read, once for all pieces of a batch."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tensorgraph import Shaped, Spec
from tensorgraph.op import op
from tensorgraph.program import Call, Program, Value
from tensorgraph_numba.kernels import conv as direct
from tensorgraph_numba.plan.orders import Order, channels_last, filters_last

Geometry = tuple[str, ...]
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


def prepared(program: Program) -> Program:
    """The program with a call that prepares the filters before each that wants them prepared."""
    calls: list[Call] = []
    made: dict[Any, Value] = {}
    for call in program.calls:
        backwards = call.op.name == "conv_input"
        if call.op.name == "conv" or backwards:
            first, w = call.inputs
            x, y = (call.out, first) if backwards else (first, call.out)
            geometry = {name: call.params[name] for name in GEOMETRY}
            counted = direct.conv_input_count if backwards else direct.conv_count
            count = counted(*of_images(x.spec, w.spec, y.spec), **geometry)
            if count:
                params = {
                    "x": x.spec,
                    "y": y.spec,
                    "count": count,
                    "backwards": backwards,
                    "geometry": tuple(geometry.items()),
                }
                key = (w, tuple(params.items()))
                if key not in made:
                    made[key] = Value(Spec((count,), w.spec.dtype))
                    calls.append(Call(conv_panels, (w,), params, made[key]))
                call = dataclasses.replace(call, inputs=(first, w, made[key]))
        calls.append(call)
    return dataclasses.replace(program, calls=calls)
