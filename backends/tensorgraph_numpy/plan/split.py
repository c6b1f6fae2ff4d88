"""Which values of a program can be computed for a part of the batch, from the same part of others.

The samples of a batch are independent but where something is summed over them: weight gradients,
batch statistics, the loss. So most of a step can run on a piece of the batch, small enough for the
cache and on one of several threads, and sums over the batch are sums over the pieces.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from tensorgraph.program import Call, Program, Value

Axes = Mapping[Value, int]

ELEMENTWISE = frozenset(
    """
    abs acos add asin atan cast ceil clip cos cosh divide equal erf exp expm1 floor greater
    greater_equal isfinite isinf isnan less less_equal log log1p logical_and logical_not
    logical_or logical_xor maximum minimum multiply negative not_equal pow reciprocal relu round
    rsqrt sigmoid sign sin sinh sqrt square subtract tan tanh where standardize standardize_input
    """.split()  # noqa: SIM905
)


class Split(NamedTuple):
    """How the result of a call is put together from those of pieces.

    axis    side by side along this axis; None: by adding them up
    filled  each piece writes its part of the result, which is not an array of samples
    whole   computed at once, but others can take it by samples
    """

    axis: int | None
    filled: bool = False
    whole: bool = False


Rule = Callable[[Call, Axes], Split | None]


class Batch:
    """The split of every call of a program that has one.

    size    samples of the batch, 0 if the program has no batch
    axes    values that are split → their axis of samples
    sums    values that are added up from pieces
    filled  values of which each piece writes a part
    whole   values that are computed at once, whether they have samples or not
    """

    def __init__(
        self, program: Program, whole: Collection[Value] = (), rules: Mapping[str, Rule] = {}
    ) -> None:
        """``whole`` values are computed at once though they could be split; ``rules`` are those of
        more ops."""
        self.rules = {**RULES, **rules}
        first = [x.spec.shape[0] for x in program.arguments if x.spec.shape]
        self.size = collections.Counter(first).most_common(1)[0][0] if first else 0
        self.axes: dict[Value, int] = {}
        self.sums: set[Value] = set()
        self.filled: set[Value] = set()
        self.whole = set(whole)
        for x in program.arguments:
            if self.size > 1 and x.spec.shape[:1] == (self.size,):
                self.axes[x] = 0
        for call in program.calls:
            split = self.split(call)
            if split is None:
                continue
            if split.whole:
                self.whole.add(call.out)
            if split.filled:
                self.filled.add(call.out)
            elif split.axis is None:
                if call.out not in self.whole:
                    self.sums.add(call.out)
            elif split.axis < call.out.spec.ndim and call.out.spec.shape[split.axis] == self.size:
                self.axes[call.out] = split.axis

    def split(self, call: Call) -> Split | None:
        """How this call is split; None where it needs all of its inputs at once."""
        if not any(x in self.axes or x in self.filled for x in call.inputs):
            return None
        name = call.op.name
        if name in ELEMENTWISE:
            return _aligned(call, self.axes)
        rule = self.rules.get(name)
        return rule(call, self.axes) if rule is not None else None


def _aligned(call: Call, axes: Axes) -> Split | None:
    """Elementwise: all that is split must be so along one axis of the result."""
    ndim = call.out.spec.ndim
    found = {axes[x] + ndim - x.spec.ndim for x in call.inputs if x in axes}
    return Split(found.pop()) if len(found) == 1 else None


def _by_sample(call: Call, axes: Axes) -> Split | None:
    return Split(0) if all(axes[x] == 0 for x in call.inputs if x in axes) else None


def _pool(call: Call, axes: Axes) -> Split | None:
    whole = all(x in axes for x in call.inputs)
    return _by_sample(call, axes) if whole else None


def _conv(call: Call, axes: Axes) -> Split | None:
    x, *filters = call.inputs
    return Split(0) if axes.get(x) == 0 and not any(w in axes for w in filters) else None


def _conv_weight(call: Call, axes: Axes) -> Split | None:
    x, y = call.inputs
    return Split(None) if axes.get(x) == 0 and axes.get(y) == 0 else None


def _drop(call: Call, axes: Axes) -> Split | None:
    x, key = call.inputs
    return Split(0) if axes.get(x) == 0 and key not in axes else None


def _sum(call: Call, axes: Axes) -> Split | None:
    (x,) = call.inputs
    reduced, keepdims = call.params["axis"], call.params.get("keepdims", True)
    if axes[x] in reduced:
        return Split(None)
    return Split(axes[x] - (0 if keepdims else sum(a < axes[x] for a in reduced)))


def _sum_to(call: Call, axes: Axes) -> Split | None:
    (x,) = call.inputs
    axis = axes[x] - (x.spec.ndim - call.out.spec.ndim)
    if axis < 0 or call.out.spec.shape[axis] != x.spec.shape[axes[x]]:
        return Split(None)
    return Split(axis)


def _product_sum(call: Call, axes: Axes) -> Split | None:
    """The gradient of a scale: all inputs of full shape are split alike, and summed to a shape."""
    g = call.inputs[0]
    if g not in axes:
        return None
    full = [x for x in call.inputs if x.spec.shape == g.spec.shape]
    if any(axes.get(x) != axes[g] for x in full):
        return None
    if any(x in axes and axes[x] != axes[g] for x in call.inputs):
        return None
    return _sum_to(Call(call.op, (g,), call.params, call.out), axes)


def _variance(call: Call, axes: Axes) -> Split | None:
    x, average = call.inputs
    if x not in axes or (average in axes and axes[average] != axes[x]):
        return None
    if average.spec.shape[axes[x]] == 1 and x.spec.shape[axes[x]] != 1:
        return Split(None) if average not in axes else None
    return Split(axes[x])


def _reshape(call: Call, axes: Axes) -> Split | None:
    """The samples stay apart where the axes before theirs hold as many elements as before."""
    (x,) = call.inputs
    axis, size = axes[x], x.spec.shape[axes[x]]
    before = math.prod(x.spec.shape[:axis])
    shape = call.out.spec.shape
    for i, n in enumerate(shape):
        if math.prod(shape[:i]) == before and n == size:
            return Split(i)
    return None


def _permute(call: Call, axes: Axes) -> Split | None:
    (x,) = call.inputs
    return Split(call.params["axes"].index(axes[x]))


def _broadcast(call: Call, axes: Axes) -> Split | None:
    (x,) = call.inputs
    return Split(axes[x] + call.out.spec.ndim - x.spec.ndim)


def _gather(call: Call, axes: Axes) -> Split | None:
    """Slices that take all samples. Samples in another order are picked at once."""
    x, *indices = call.inputs
    if x not in axes:
        return None
    if indices:
        kept = call.out.spec.shape[:1] == (x.spec.shape[axes[x]],)
        return Split(0, whole=True) if kept else None
    own = at = 0  # axes of the input and of the output so far
    for part in call.params["key"]:
        if own == axes[x] and part is not None:
            return Split(at) if part == (0, x.spec.shape[own], 1) else None
        own += part is not None
        at += not isinstance(part, int)
    return None


def split_matmul(call: Call, axes: Axes) -> Split | None:
    x, y = call.inputs
    if x.spec.ndim != 2 or y.spec.ndim != 2:
        return None
    match axes.get(x), axes.get(y):
        case 0, None:
            return Split(0)
        case None, 1:
            return Split(1)
        case 1, 0:
            return Split(None)
    return None


def _along_axis(call: Call, axes: Axes) -> Split | None:
    """A function of the elements along an axis that is not the samples'."""
    (x,) = call.inputs
    return Split(axes[x]) if call.params["axis"] != axes[x] else None


def _label_loss(call: Call, axes: Axes) -> Split | None:
    x, labels = call.inputs[-2:]
    if axes.get(x) != 0 or axes.get(labels) != 0 or x.spec.ndim < 2:
        return None
    return Split(0 if call.params["reduction"] == "none" else None)


def _label_loss_input(call: Call, axes: Axes) -> Split | None:
    g, x, labels = call.inputs
    if axes.get(x) != 0 or axes.get(labels) != 0 or axes.get(g, 0) != 0 or x.spec.ndim < 2:
        return None
    return Split(0)


RULES: dict[str, Rule] = {
    "axis_mean": _sum,
    "axis_variance": _variance,
    "avg_pool": _pool,
    "avg_pool_input": _pool,
    "broadcast_to": _broadcast,
    "conv": _conv,
    "conv_input": _conv,
    "conv_weight": _conv_weight,
    "drop": _drop,
    "gather": _gather,
    "label_cross_entropy": _label_loss,
    "label_cross_entropy_input": _label_loss_input,
    "log_softmax": _along_axis,
    "matmul": split_matmul,
    "max_pool": _pool,
    "max_pool_input": _pool,
    "max_pool_pick": _pool,
    "permute_dims": _permute,
    "reshape": _reshape,
    "softmax": _along_axis,
    "standardize_weight": _product_sum,
    "sum": _sum,
    "sum_to": _sum_to,
}
