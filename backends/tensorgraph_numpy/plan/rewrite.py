"""The same results from calls that cost NumPy less, or that can be split."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np

from tensorgraph import Op, Shaped, Spec, config, ops
from tensorgraph.backend import Backend
from tensorgraph.discovery import PLUGINS
from tensorgraph.op import op
from tensorgraph.program import Call, Program, Value
from tensorgraph.tensor import Number
from tensorgraph_numpy.kernels import linalg, random
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


@op
def product(x: Shaped, y: Shaped, *, turned: tuple[bool, bool]) -> Spec:
    """``x @ y`` of matrices, of which those that are ``turned`` come transposed."""
    return Spec((x.shape[1 if turned[0] else 0], y.shape[0 if turned[1] else 1]), x.dtype)


product.flops(lambda out, x, y, *, turned: 2 * out.size * x.shape[0 if turned[0] else 1])
product.kernel(lambda xp, x, y, *, turned: linalg.product(x, y, turned=turned))
dropout_mask.kernel(lambda xp, x, key, *, p, first: random.dropout_mask(x, key, p=p, first=first))
masked.kernel(lambda xp, x, mask, *, scale: random.masked(x, mask, scale=scale))


def _split_product(call: Call, axes: split.Axes) -> split.Split | None:
    """By the rows of ``x`` or the columns of ``y``; by the sum that both share, added up."""
    x, y = (
        None if z not in axes else axes[z] ^ turned
        for z, turned in zip(call.inputs, call.params["turned"])
    )
    match x, y:
        case 0, None:
            return split.Split(0)
        case None, 1:
            return split.Split(1)
        case 1, 0:
            return split.Split(None)
    return None


SPLITS: dict[str, split.Rule] = {  # of these ops
    "dropout_mask": split.RULES["drop"],
    "masked": lambda call, axes: split.Split(0) if axes.get(call.inputs[0]) == 0 else None,
    "product": _split_product,
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

    def ours(self, call: Call) -> bool:
        """Whether the kernel that the call would run is one of NumPy's or the portable one, and
        none that a plugin prefers."""
        return not PLUGINS.kernels_for(self.backend, call.op.name) and not any(
            name == call.op.name for name, _ in config.current().kernels
        )

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
    if not random.kept_bound(p):
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
    "permute_dims": _permute_dims,
    "standardize_input": _standardize_input,
}
