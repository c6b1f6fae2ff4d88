"""The same results from calls that cost NumPy less, or that can be split."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np

from tensorgraph import Op, Spec, config, ops
from tensorgraph.backend import Backend
from tensorgraph.discovery import PLUGINS
from tensorgraph.program import Call, Program, Value
from tensorgraph.tensor import Number
from tensorgraph_numpy.kernels import random
from tensorgraph_numpy.plan.expand import expanded
from tensorgraph_numpy.plan.own_ops import dropout_mask, masked, product
from tensorgraph_numpy.plan.split import Batch


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
        self.pooled: dict[Value, Value] = {}  # maxima after relu → before it

    def call(self, op: Op[...], *inputs: Value, out: Value | None = None, **params: Any) -> Value:
        """Add a call; its output is new, unless it stands for the value ``out``."""
        made = out if out is not None else Value(op.shape_rule(*[x.spec for x in inputs], **params))
        self.calls.append(Call(op, inputs, params, made))
        return made

    def ours(self, call: Call) -> bool:
        """Whether the kernel that the call would run is one of NumPy's or the portable one, and
        none that a plugin prefers."""
        return not PLUGINS.kernels_for(self.backend, call.op.name) and not any(
            name == call.op.name for name, _ in config.current().kernels
        )

    def maker(self, x: Value, name: str) -> Call | None:
        """The call that made a value, if it was of this op."""
        call = self.made.get(x)
        return call if call is not None and call.op.name == name else None

    def product(self, x: Value, y: Value, *, out: Value, turned: bool = False) -> None:
        """Add ``x @ y``, or with ``turned`` the product of the transposes, of what these values
        are transposes of."""
        sources = [self._source(z) for z in (x, y)]
        flags = tuple(flag ^ turned for _, flag in sources)
        self.call(product, sources[0][0], sources[1][0], turned=flags, out=out)

    def _source(self, x: Value) -> tuple[Value, bool]:
        """A matrix and whether it is transposed, and so is what ``x`` is."""
        turned = False
        while (call := self.made.get(x)) is not None and call.params.get("axes") == (1, 0):
            if call.op is not ops.permute_dims:
                break
            (x,), turned = call.inputs, not turned
        return x, turned

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
    if not random.kept_bound(p) or not work.ours(call):
        return False
    place = (key, p, x.spec)
    if place not in work.masks:
        work.masks[place] = work.call(dropout_mask, x, key, p=p, first=0)
    work.call(masked, x, work.masks[place], scale=1 / (1 - p), out=call.out)
    return True


def _matmul(work: Rewriting, call: Call) -> bool:
    """A product takes transposed matrices itself."""
    if any(x.spec.ndim != 2 for x in call.inputs) or not work.ours(call):
        return False
    work.product(*call.inputs, out=call.out)
    return True


def _permute_dims(work: Rewriting, call: Call) -> bool:
    """The transpose of a product is the product of the transposes: a gradient comes in the memory
    order of its weights."""
    (x,) = call.inputs
    before = work.made.get(x)
    if before is None or call.params["axes"] != (1, 0) or work.readers[x] > 1:
        return False
    if before.op.name != "matmul" or any(y.spec.ndim != 2 for y in before.inputs):
        return False
    if not work.ours(before):
        return False
    a, b = before.inputs
    work.product(b, a, turned=True, out=call.out)
    return True


def _max_pool(work: Rewriting, call: Call) -> bool:
    """The largest of what relu gives is relu of the largest: a quarter of the elements, say. Not
    where a dilated window may have all of its elements in the padding: its largest is -inf."""
    relu = work.maker(call.inputs[0], "relu")
    if relu is None or not work.ours(relu):
        return False
    if any(call.params["padding"]) and max(call.params["dilation"]) > 1:
        return False
    before = work.call(call.op, *relu.inputs, **call.params)
    work.pooled[call.out] = before
    work.call(relu.op, before, out=call.out)
    return True


def _multiply(work: Rewriting, call: Call) -> bool:
    """The gradient of relu before pooling, ``max_pool_input(g, y, out) * (y > 0)`` with ``y`` the
    result of relu, is where ``out > 0``, and goes where the largest was before relu."""
    for x, mask in (call.inputs, call.inputs[::-1]):
        pool, cast = work.maker(x, "max_pool_input"), work.maker(mask, "cast")
        if pool is None or cast is None or work.readers[x] > 1:
            continue
        g, y, out = pool.inputs
        greater, relu = work.maker(cast.inputs[0], "greater"), work.maker(y, "relu")
        if greater is None or relu is None or out not in work.pooled:
            continue
        zero = work.program.constants.get(greater.inputs[1])
        if greater.inputs[0] is not y or zero is None or zero.shape or zero.data != 0:
            continue
        positive = work.call(greater.op, out, greater.inputs[1])
        kept = work.call(call.op, g, work.call(cast.op, positive, **cast.params))
        work.call(pool.op, kept, *relu.inputs, work.pooled[out], out=call.out, **pool.params)
        return True
    return False


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
    "matmul": _matmul,
    "max_pool": _max_pool,
    "multiply": _multiply,
    "permute_dims": _permute_dims,
    "standardize_input": _standardize_input,
}
