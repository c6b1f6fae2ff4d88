"""A program without what ``borders`` finds nobody to read."""

from __future__ import annotations

import dataclasses
from typing import Any

from tensorgraph import ops
from tensorgraph.program import Call, Program, Value
from tensorgraph.spec import Spec
from tensorgraph_walks.borders import Extents
from tensorgraph_walks.windows import CONVOLUTIONS, windows_of


def trimmed(program: Program) -> Program:
    """The same program on values that are as large as somebody reads, where windows over images
    leave something out at the end of an axis. Results are of the same size; a number times zero
    is taken to be zero there, also if it is infinite or NaN."""
    if not any(windows_of(call) for call in program.calls):
        return program
    extents = Extents(program)
    work = _Trimming(extents)
    for call in program.calls:
        work.add(call)
    return dataclasses.replace(program, calls=work.calls) if work.changed else program


class _Trimming:
    """The calls so far."""

    def __init__(self, extents: Extents) -> None:
        self.extents = extents
        self.calls: list[Call] = []
        self.changed = False
        self._small: dict[Value, Value] = {}
        self._crops: dict[tuple[Value, tuple[int, ...]], Value] = {}

    def _sized(self, x: Value) -> Value:
        """What stands for a value: itself, where all of it is computed."""
        shape = self.extents[x]
        if shape == x.spec.shape:
            return x
        self.changed = True
        return self._small.setdefault(x, Value(Spec(shape, x.spec.dtype)))

    def _cropped(self, x: Value, shape: tuple[int, ...]) -> Value:
        """The leading part of a value."""
        if shape == x.spec.shape:
            return x
        self.changed = True
        if (x, shape) not in self._crops:
            made = Value(Spec(shape, x.spec.dtype))
            key = tuple((0, n, 1) for n in shape)
            self.calls.append(Call(ops.gather, (x,), {"key": key}, made))  # type: ignore[arg-type]
            self._crops[x, shape] = made
        return self._crops[x, shape]

    def add(self, call: Call) -> None:
        inputs = [self._sized(x) for x in call.inputs]
        if call.op.name in ("conv", "conv_weight"):
            inputs[0] = self._cropped(inputs[0], self.extents.crop(call))
        out = self._sized(call.out)
        if out is call.out and tuple(inputs) == call.inputs:
            self.calls.append(call)
            return
        new = Call(call.op, tuple(inputs), dict(call.params), out)
        new.params = {**call.params, **_sizes(call, new)}
        self.calls.append(new)


def _sizes(call: Call, new: Call) -> dict[str, Any]:
    """The parameters that depend on the sizes of images."""
    name = call.op.name
    found: dict[str, Any] = {}
    if name in CONVOLUTIONS:
        windows = windows_of(new)
        assert windows is not None
        image, result = windows.images[0].spec.shape[2:], windows.results[0].spec.shape[2:]
        ends = zip(image, result, windows.slides)
        found["padding"] = tuple((w.low, max(0, w.reached(e) - d)) for d, e, w in ends)
    if name in ("conv_input", "avg_pool_input"):
        found["size"] = new.out.spec.shape[2:]
    return found
