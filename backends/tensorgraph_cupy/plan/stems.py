"""Large images of few channels, with zeros for the others that a convolution in bfloat16 wants.

cuDNN computes in groups of 8 channels there. With fewer it copies the images itself, each time that
it reads them: forward, and for the gradient of the filters. In float32 its plans ask for the same
memory with 3, 4 and 8 channels, so nothing is added. Of small images the copies cost less than the
launches that this takes.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tensorgraph import Op, ops
from tensorgraph.program import Call, Program, Value

GROUP = 8  # channels
LARGE = 1 << 20  # pixels of all images


def widened(program: Program) -> Program:
    """The program, with such convolutions on padded images and filters. Their gradient of the
    filters is a part of the padded one."""
    calls: list[Call] = []
    copies: dict[Value, Value] = {}

    def padded(x: Value) -> Value:
        if x not in copies:
            none = (0, 0)
            more = (0, GROUP - x.spec.shape[1])
            width = (none, more, *[none for _ in x.spec.shape[2:]])
            pad: Any = ops.pad_constant
            copies[x] = _call(calls, pad, x, pad_width=width, constant_values=0.0)
        return copies[x]

    for call in program.calls:
        name, (x, *rest) = call.op.name, call.inputs or (None,)
        if x is None or name not in ("conv", "conv_weight") or not _is_large(x, call):
            calls.append(call)
        elif name == "conv":
            calls.append(dataclasses.replace(call, inputs=(padded(x), *map(padded, rest))))
        else:
            whole = _call(calls, call.op, padded(x), *rest, **call.params)
            key = tuple((0, n, 1) for n in call.out.spec.shape)
            part: Any = ops.gather
            calls.append(Call(part, (whole,), {"key": key}, call.out))
    return dataclasses.replace(program, calls=calls)


def _is_large(x: Value, call: Call) -> bool:
    images, channels, *size = x.spec.shape
    few = 1 < channels < GROUP and call.params["groups"] == 1
    return few and x.spec.dtype == "float32" and images * math.prod(size) >= LARGE


def _call(calls: list[Call], op: Op[...], *inputs: Value, **params: Any) -> Value:
    made = Value(op.shape_rule(*[x.spec for x in inputs], **params))
    calls.append(Call(op, inputs, params, made))
    return made
