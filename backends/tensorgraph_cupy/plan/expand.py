"""Calls in terms of others: what has no launch function, or has one for other axes, becomes views,
copies and calls that have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph import Op, Spec, ops
from tensorgraph.program import Call, Program, Value
from tensorgraph.tensor import Number
from tensorgraph_cupy.kernels.space import order_of
from tensorgraph_cupy.plan import indexing
from tensorgraph_cupy.plan.chains import group_of, kept_of
from tensorgraph_cupy.plan.picking import largest_at


def expanded(program: Program, backend: Any) -> Program:
    """The same program in calls that can be launched, as far as there are rules for them."""
    return Expansion(program, backend).program


class Expansion:
    """Called with an op and values, it adds a call, or what stands for it, and gives its result."""

    def __init__(self, program: Program, backend: Any) -> None:
        self.backend = backend
        constants = dict(program.constants)
        self.program = dataclasses.replace(program, calls=[], constants=constants)
        self._made: dict[Any, Value] = {}  # calls that were added → their results
        self._numbers: dict[Any, Value] = {}
        for call in program.calls:
            self._add(call)

    def __call__(self, op: Any, *inputs: Value, out: Value | None = None, **params: Any) -> Value:
        key = op, inputs, tuple(params.items())
        if out is not None or key not in self._made:
            if out is None:
                out = self._made[key] = Value(op.shape_rule(*[x.spec for x in inputs], **params))
            self._add(Call(op, inputs, params, out))
            return out
        return self._made[key]

    def _add(self, call: Call) -> None:
        rule = RULES.get(call.op.name)
        empty = any(0 in x.spec.shape for x in (call.out, *call.inputs))
        if rule is None or empty or not rule(self, call):
            self.program.calls.append(call)

    def number(self, x: float, dtype: str = "int64") -> Value:
        """A constant of no axes."""
        if (x, dtype) not in self._numbers:
            value = self._numbers[x, dtype] = Value(Spec((), dtype))
            array = self.backend.asarray(x, dtype)
            self.program.constants[value] = Number(array, self.backend, value.spec)
        return self._numbers[x, dtype]

    def reshape(self, x: Value, shape: Sequence[int], out: Value | None = None) -> Value:
        return self(ops.reshape, x, out=out, shape=tuple(shape))

    def rows(self, x: Value, axes: Sequence[int], behind: int) -> Value:
        """A matrix: the axes in another order, of which so many make a row."""
        x = self(ops.permute_dims, x, axes=tuple(axes))
        split = len(axes) - behind
        sizes = x.spec.shape
        return self.reshape(x, (math.prod(sizes[:split]), math.prod(sizes[split:])))

    def from_rows(self, x: Value, shape: Sequence[int], axes: Sequence[int], out: Value) -> None:
        """What ``rows`` undoes: ``shape`` has the sizes as the value to make has them."""
        x = self.reshape(x, [shape[axis] for axis in axes])
        back = tuple(axes.index(axis) for axis in range(len(axes)))
        self(ops.permute_dims, x, out=out, axes=back)


Rule = Callable[[Expansion, Call], bool]  # whether it stood in for the call


def _along_rows(add: Expansion, call: Call) -> bool:
    """softmax, its logarithm and argsort along an axis that is not the last in memory."""
    (x,), axis = call.inputs, call.params["axis"] % call.out.spec.ndim
    shape = x.spec.shape
    axes = [*(i for i in order_of(len(shape)) if i != axis), axis]
    if len(shape) < 2 or (len(shape) == 2 and axis == 1):
        return False
    if axis == order_of(len(shape))[-1] and call.op.name != "argsort":
        return False
    made = add(call.op, add.rows(x, axes, 1), axis=1)
    add.from_rows(made, shape, axes, call.out)
    return True


def _position(add: Expansion, call: Call) -> bool:
    """argmax and argmin."""
    (x,), axes = call.inputs, call.params["axis"]
    if x.spec.dtype != "float32":
        return False
    x = add(ops.negative, x) if call.op.name == "argmin" else x
    kept = [i for i in range(x.spec.ndim) if i not in axes]
    made = add(largest_at, add.rows(x, (*kept, *axes), len(axes)))
    add.reshape(made, call.out.spec.shape, call.out)
    return True


def _of_truth(add: Expansion, call: Call) -> bool:
    """any and all, as the largest or the smallest of zeros and ones."""
    reduction = ops.max if call.op.name == "any" else ops.min
    x = add(ops.cast, call.inputs[0], dtype="float32")
    add(ops.cast, add(reduction, x, **call.params), out=call.out, dtype="bool")
    return True


def _log_of_sum(add: Expansion, call: Call) -> bool:
    """logsumexp: the largest is taken out, unless it is infinite."""
    (x,), axis = call.inputs, call.params["axis"]
    if x.spec.dtype != "float32":
        return False
    top = add(ops.max, x, axis=axis, keepdims=True)
    top = add(ops.where, add(ops.isfinite, top), top, add.number(0.0, "float32"))
    total = add(ops.sum, add(ops.exp, add(ops.subtract, x, top)), axis=axis, keepdims=True)
    add.reshape(add(ops.add, add(ops.log, total), top), call.out.spec.shape, call.out)
    return True


def _summed(add: Expansion, call: Call) -> bool:
    """A sum whose axes do not lie beside each other in memory, or whose result lies otherwise than
    what is left of its terms."""
    specs = [x.spec for x in (call.out, *call.inputs)]
    if group_of(call) is not None or any(spec.dtype != "float32" for spec in specs):
        return False
    op: Op[...] = call.op
    if op.name == "standardize_weight":
        g, x, average, inverse = call.inputs
        scaled = add(ops.multiply, add(ops.subtract, x, average), inverse)
        terms = add(ops.multiply, scaled, g)
        add(ops.sum_to, terms, out=call.out, shape=call.out.spec.shape)
        return True
    (x,), kept = call.inputs, kept_of(call)
    if call.out.spec.shape != kept:  # axes of size 1 are left out in the end
        params = {"shape": kept} if op.name == "sum_to" else {**call.params, "keepdims": True}
        add.reshape(add(op, x, **params), call.out.spec.shape, call.out)
        return True
    wide = [i for i in order_of(x.spec.ndim) if x.spec.shape[i] != 1]
    gone = [i for i in wide if kept[i] == 1]
    if not gone:  # there is nothing to sum up
        add.reshape(x, kept, call.out)
        return True
    last = [gone[-1]]  # those that lie beside the last one
    while wide.index(last[0]) and wide[wide.index(last[0]) - 1] in gone:
        last.insert(0, wide[wide.index(last[0]) - 1])
    if len(last) == len(gone):
        return False
    reduction = ops.sum if op.name == "sum_to" else op
    part = add(reduction, x, axis=tuple(sorted(last)), keepdims=True)
    add(op, part, out=call.out, **call.params)
    return True


def _label_loss(add: Expansion, call: Call) -> bool:
    """Of scores (N, C, …): those of each place in a row."""
    *g, x, labels = call.inputs
    n = x.spec.ndim
    if n < 3:
        return False
    axes = order_of(n)
    scores, named = add.rows(x, axes, 1), add.reshape(labels, (labels.spec.size,))
    if g:
        given = add.reshape(g[0], named.spec.shape) if g[0].spec.shape else g[0]
        made = add(call.op, given, scores, named, **call.params)
        add.from_rows(made, x.spec.shape, axes, call.out)
    elif call.out.spec.shape:
        made = add(call.op, scores, named, **call.params)
        add.reshape(made, call.out.spec.shape, call.out)
    else:
        add(call.op, scores, named, out=call.out, **call.params)
    return True


def _words(add: Expansion, call: Call) -> bool:
    """Random words are numbered row by row, as they lie with two axes."""
    shape = call.out.spec.shape
    if len(shape) < 3:
        return False
    first = shape[:1] if call.op.name == "random_bits_each" else (1,)
    flat = (*first, math.prod(shape) // first[0])
    add.reshape(add(call.op, call.inputs[0], shape=flat), shape, call.out)
    return True


def _normals(add: Expansion, call: Call) -> bool:
    (u,), shape = call.inputs, call.out.spec.shape
    if u.spec.ndim < 3 and len(shape) < 3:
        return False
    made = add(call.op, add.reshape(u, (u.spec.size,)), shape=(math.prod(shape),))
    add.reshape(made, shape, call.out)
    return True


def _resampled(add: Expansion, call: Call) -> bool:
    """Images of so many axes as planes, one for each channel."""
    images, *places = call.inputs
    n, *middle, height, width = images.spec.shape
    if len(middle) == 1:
        return False
    planes = add.reshape(images, (n, math.prod(middle), height, width))
    add.reshape(add(call.op, planes, *places), call.out.spec.shape, call.out)
    return True


RULES: dict[str, Rule] = {
    **dict.fromkeys(("softmax", "log_softmax", "argsort"), _along_rows),
    **dict.fromkeys(("argmax", "argmin"), _position),
    **dict.fromkeys(("any", "all"), _of_truth),
    **dict.fromkeys(("sum", "sum_to", "max", "min", "standardize_weight"), _summed),
    **dict.fromkeys(("label_cross_entropy", "label_cross_entropy_input"), _label_loss),
    **dict.fromkeys(("random_bits", "random_bits_each"), _words),
    "logsumexp": _log_of_sum,
    "box_muller": _normals,
    "resample": _resampled,
    "gather": indexing.picked,
    "scatter_add": indexing.added,
}
