"""The same results from calls that cost NumPy less, or that can be split."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np

from tensorgraph import Op, Shaped, Spec, ops
from tensorgraph.backend import Backend
from tensorgraph.op import op
from tensorgraph.program import Call, Program, Value
from tensorgraph.tensor import Number
from tensorgraph_numpy.kernels import random
from tensorgraph_numpy.plan import split
from tensorgraph_numpy.plan.expand import expanded
from tensorgraph_numpy.plan.split import Batch


@op
def dropout_mask(x: Shaped, key: Shaped, *, p: float, first: int) -> Spec:
    """All bits of an integer as wide as ``x`` where ``drop`` keeps its element, else none; of a
    piece of the batch, whose first element has the word number ``first``."""
    return Spec(x.shape, f"int{8 * np.dtype(x.dtype).itemsize}")


@op
def masked(x: Shaped, mask: Shaped, *, scale: float) -> Spec:
    """``x * scale`` where the bits of ``mask`` are set, else 0."""
    return Spec(x.shape, x.dtype)


dropout_mask.kernel(lambda xp, x, key, *, p, first: random.dropout_mask(x, key, p=p, first=first))
masked.kernel(lambda xp, x, mask, *, scale: random.masked(x, mask, scale=scale))
SPLITS: dict[str, split.Rule] = {  # of these ops
    "dropout_mask": split.RULES["drop"],
    "masked": lambda call, axes: split.Split(0) if axes.get(call.inputs[0]) == 0 else None,
}


def rewritten(program: Program, backend: Backend) -> Program:
    """The program in calls that can be taken piece by piece, with what the rules put in their
    place."""
    work = Rewriting(*expanded(program, backend), backend)
    for call in list(work.program.calls):
        rule = RULES.get(call.op.name)
        if rule is None or not rule(work, call):
            work.calls.append(call)
    return work.finished()


class Rewriting:
    """The calls so far, and what the rules look up."""

    def __init__(self, program: Program, batch: Batch, backend: Backend) -> None:
        self.program = dataclasses.replace(program, constants=dict(program.constants))
        self.batch = batch
        self.backend = backend
        self.calls: list[Call] = []
        self.made = {call.out: call for call in program.calls}
        self.readers = collections.Counter(x for call in program.calls for x in call.inputs)
        self.readers.update(program.results())
        self.masks: dict[Any, Value] = {}

    def call(self, op: Op[...], *inputs: Value, out: Value | None = None, **params: Any) -> Value:
        """Add a call; its output is new, unless it stands for the value ``out``."""
        made = out if out is not None else Value(op.shape_rule(*[x.spec for x in inputs], **params))
        self.calls.append(Call(op, inputs, params, made))
        return made

    def number(self, x: float, like: Value) -> Value:
        """A constant of the dtype of another value."""
        spec = Spec((), like.spec.dtype)
        value = Value(spec)
        self.program.constants[value] = Number(np.asarray(x, spec.dtype), self.backend, spec)
        return value

    def finished(self) -> Program:
        """The program of these calls, without those that nobody reads any more."""
        read = set(self.program.results())
        kept = []
        for call in reversed(self.calls):
            if call.out in read:
                kept.append(call)
                read.update(call.inputs)
        return dataclasses.replace(self.program, calls=kept[::-1])


def _drop(work: Rewriting, call: Call) -> bool:
    """One mask, drawn once, for the forward pass and the backward pass."""
    x, key = call.inputs
    p = call.params["p"]
    if not random.kept_bound(p):
        return False
    place = (key, p, x.spec)
    if place not in work.masks:
        work.masks[place] = work.call(dropout_mask, x, key, p=p, first=0)
    work.call(masked, x, work.masks[place], scale=1 / (1 - p), out=call.out)
    return True


def _permute_dims(work: Rewriting, call: Call) -> bool:
    """The transpose of a product is the product of the transposes, which are views: a gradient
    comes in the memory order of its weights. The transpose of a transpose is where it began."""
    (x,) = call.inputs
    before = work.made.get(x)
    if before is None or call.params["axes"] != (1, 0) or work.readers[x] > 1:
        return False
    if before.op.name != "matmul" or any(y.spec.ndim != 2 for y in before.inputs):
        return False
    work.call(before.op, *[_turned(work, y) for y in reversed(before.inputs)], out=call.out)
    return True


def _turned(work: Rewriting, x: Value) -> Value:
    before = work.made.get(x)
    if before is not None and before.op is ops.permute_dims and before.params["axes"] == (1, 0):
        return before.inputs[0]
    return work.call(ops.permute_dims, x, axes=(1, 0))


def _standardize_input(work: Rewriting, call: Call) -> bool:
    """Where the statistics are those of the batch: what is summed over it becomes ready before
    the pieces, which do not know how many samples there are."""
    g, x, average, inverse, weight, total, along = call.inputs
    axes = work.batch.axes
    if x not in axes or average in axes or average.spec.shape[axes[x]] == x.spec.shape[axes[x]]:
        return False
    share = work.number(average.spec.size / x.spec.size, x)
    level = work.call(ops.multiply, total, share)
    slope = work.call(ops.multiply, work.call(ops.multiply, inverse, along), share)
    scale = work.call(ops.multiply, inverse, weight)
    sloped = work.call(ops.multiply, work.call(ops.subtract, x, average), slope)
    centred = work.call(ops.subtract, work.call(ops.subtract, g, sloped), level)
    work.call(ops.multiply, centred, scale, out=call.out)
    return True


RULES: dict[str, Any] = {
    "drop": _drop,
    "permute_dims": _permute_dims,
    "standardize_input": _standardize_input,
}
