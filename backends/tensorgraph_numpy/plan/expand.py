"""Calls whose results on pieces of a batch do not simply add up, in terms of calls whose do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorgraph import Op, Shaped, Spec, ops
from tensorgraph.backend import Backend
from tensorgraph.op import op
from tensorgraph.program import Call, Program, Value
from tensorgraph.tensor import Number
from tensorgraph_numpy.plan.split import Batch, Rule


@op
def label_share(labels: Shaped, *, ignore_index: int, dtype: str) -> Spec:
    """One over the number of labels that are not ``ignore_index``: what each counts in a mean."""
    return Spec((), dtype)


@label_share.kernel
def _(xp: Any, labels: Any, *, ignore_index: int, dtype: str) -> Any:
    return (1.0 / (labels != ignore_index).sum()).astype(dtype)


class Expansion:
    """Rewrites the calls of a program, where they are split into pieces, into sums."""

    def __init__(self, program: Program, batch: Batch, backend: Backend) -> None:
        self.program = dataclasses.replace(program, calls=[], constants=dict(program.constants))
        self.batch = batch
        self.backend = backend
        self._shares: dict[Any, Value] = {}

    def share(self, labels: Value, dtype: str, ignored: int) -> Value:
        """What each label counts in a mean; the loss and its gradient ask for the same."""
        key = (labels, dtype, ignored)
        if key not in self._shares:
            params: dict[str, Any] = {"ignore_index": ignored, "dtype": dtype}
            self._shares[key] = self.call(label_share, labels, **params)
        return self._shares[key]

    def call(self, op: Op[...], *inputs: Value, out: Value | None = None, **params: Any) -> Value:
        """Add a call; its output is new, unless it stands for the value ``out``."""
        made = out if out is not None else Value(op.shape_rule(*[x.spec for x in inputs], **params))
        self.program.calls.append(Call(op, inputs, params, made))
        return made

    def number(self, x: float, like: Value) -> Value:
        """A constant of the dtype of another value."""
        spec = Spec((), like.spec.dtype)
        value = Value(spec)
        array = np.asarray(x, spec.dtype)
        self.program.constants[value] = Number(array, self.backend, spec)
        return value

    def expand(self, call: Call) -> None:
        """Add what stands for a call: itself, if there is nothing to rewrite."""
        rule = RULES.get(call.op.name)
        if rule is None or not rule(self, call):
            self.program.calls.append(call)


def expanded(
    program: Program, backend: Backend, rules: Mapping[str, Rule] = {}
) -> tuple[Program, Batch]:
    """The program in calls that can be taken piece by piece, and how they are split; ``rules`` are
    those of more ops."""
    batch = Batch(program, rules=rules)
    work = Expansion(program, batch, backend)
    for call in program.calls:
        work.expand(call)
    return work.program, Batch(work.program, rules=rules)


def _mean(work: Expansion, call: Call) -> bool:
    (x,) = call.inputs
    if call.out not in work.batch.sums:
        return False
    total = work.call(ops.sum, x, axis=call.params["axis"], keepdims=True)
    n = x.spec.size // total.spec.size
    work.call(ops.multiply, total, work.number(1 / n, x), out=call.out)
    return True


def _variance(work: Expansion, call: Call) -> bool:
    x, average = call.inputs
    if call.out not in work.batch.sums:
        return False
    deviation = work.call(ops.subtract, x, average)
    square = work.call(ops.multiply, deviation, deviation)
    axes = tuple(i for i, n in enumerate(average.spec.shape) if n == 1)
    total = work.call(ops.sum, square, axis=axes, keepdims=True)
    n = x.spec.size // total.spec.size
    work.call(ops.multiply, total, work.number(1 / n, x), out=call.out)
    return True


def _standardize_weight(work: Expansion, call: Call) -> bool:
    """The factor that all summed elements share goes outside."""
    g, x, average, inverse = call.inputs
    if call.out not in work.batch.sums or call.params["shape"] != average.spec.shape:
        return False
    product = work.call(ops.multiply, work.call(ops.subtract, x, average), g)
    total = work.call(ops.sum_to, product, shape=call.params["shape"])
    work.call(ops.multiply, total, inverse, out=call.out)
    return True


def _label_loss(work: Expansion, call: Call) -> bool:
    x, labels = call.inputs
    if call.out not in work.batch.sums or call.params["reduction"] != "mean":
        return False
    ignored = call.params["ignore_index"]
    share = work.share(labels, x.spec.dtype, ignored)
    total = work.call(call.op, x, labels, ignore_index=ignored, reduction="sum")
    work.call(ops.multiply, total, share, out=call.out)
    return True


def _label_loss_input(work: Expansion, call: Call) -> bool:
    g, x, labels = call.inputs
    if call.out not in work.batch.axes or call.params["reduction"] != "mean":
        return False
    ignored = call.params["ignore_index"]
    share = work.share(labels, x.spec.dtype, ignored)
    scaled = work.call(ops.multiply, g, share)
    made = {"ignore_index": ignored, "reduction": "sum"}
    work.call(call.op, scaled, x, labels, out=call.out, **made)
    return True


RULES: dict[str, Any] = {
    "axis_mean": _mean,
    "axis_variance": _variance,
    "label_cross_entropy": _label_loss,
    "label_cross_entropy_input": _label_loss_input,
    "standardize_weight": _standardize_weight,
}
