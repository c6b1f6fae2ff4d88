"""Indexing by arrays in terms of rows: of the axes that arrays pick from one is made, and of the
others the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorgraph import Spec, ops
from tensorgraph.program import Call, Value
from tensorgraph_cupy.kernels.space import order_of
from tensorgraph_cupy.plan.picking import affordable, rows_added, rows_at

if TYPE_CHECKING:
    from tensorgraph_cupy.plan.expand import Expansion

ARRAY = "array"  # in the key of a gather: where the next of its indices goes


class _Key:
    """What the key of a gather with arrays does to ``shape``: slices first, then arrays.

    basic   the key with whole axes in the place of arrays
    sizes   of the axes that it leaves
    picks   of these those that arrays pick from
    rest    the others, in the order of memory
    """

    def __init__(self, shape: Sequence[int], key: Sequence[Any], indices: Sequence[Value]) -> None:
        sizes = iter(shape)
        lengths = [1 if part is None else next(sizes) for part in key]
        self.basic = tuple(
            (0, n, 1) if part == ARRAY else part for n, part in zip(lengths, key, strict=True)
        )
        self.slices = self.basic != tuple((0, n, 1) for n in shape)
        self.sizes = ops.gather.shape_rule(Spec(tuple(shape)), key=self.basic).shape  # type: ignore[attr-defined]
        self.picks = [i for i, part in enumerate(key) if part == ARRAY]
        self.rest = [i for i in order_of(len(key)) if i not in self.picks]
        self.picked = np.broadcast_shapes(*(x.spec.shape for x in indices))
        ahead = {i - before for before, i in enumerate(self.picks)}
        self.place = ahead.pop() if len(ahead) == 1 else 0  # of the picks in the result

    @property
    def axes(self) -> list[int]:
        """The axes of the result as (picks…, rest…)."""
        own, many = sorted(self.rest), len(self.picked)
        behind = {axis: i + many * (i >= self.place) for i, axis in enumerate(own)}
        return [*range(self.place, self.place + many), *(behind[axis] for axis in self.rest)]

    def rows(self) -> int:
        return math.prod(self.sizes[i] for i in self.picks)


def _places(add: Expansion, key: _Key, indices: Sequence[Value]) -> Value:
    """The number of the row that each of the arrays' indices stands for, (m,)."""
    total, stride = None, 1
    for axis, index in zip(reversed(key.picks), reversed(indices), strict=True):
        n = key.sizes[axis]
        if index.spec.dtype != "int64":
            index = add(ops.cast, index, dtype="int64")
        if len(key.picks) > 1:
            below = add(ops.less, index, add.number(0))
            index = add(ops.where, below, add(ops.add, index, add.number(n)), index)
            index = add(ops.multiply, index, add.number(stride)) if stride > 1 else index
        total = index if total is None else add(ops.add, total, index)
        stride *= n
    assert total is not None
    if total.spec.shape != key.picked:
        total = add(ops.broadcast_to, total, shape=key.picked)
    return add.reshape(total, (math.prod(key.picked),))


def picked(add: Expansion, call: Call) -> bool:
    """gather with arrays: rows of the axes that these pick from."""
    (x, *indices), parts = call.inputs, call.params["key"]
    if not indices or any(isinstance(part, int) for part in parts):
        return False
    key = _Key(x.spec.shape, parts, indices)
    x = add(ops.gather, x, key=key.basic) if key.slices else x
    rows = add.rows(x, (*key.picks, *key.rest), len(key.rest))
    made = add(rows_at, rows, _places(add, key, indices))
    add.from_rows(made, call.out.spec.shape, key.axes, call.out)
    return True


def added(add: Expansion, call: Call) -> bool:
    """The adjoint of that."""
    (g, *indices), parts, shape = call.inputs, call.params["key"], call.params["shape"]
    if not indices or any(isinstance(part, int) for part in parts) or g.spec.dtype != "float32":
        return False
    key = _Key(shape, parts, indices)
    if not affordable(key.rows(), math.prod(key.picked)):
        return False
    given = add.rows(g, key.axes, len(key.rest))
    made = add(rows_added, given, _places(add, key, indices), n=key.rows())
    out = Value(Spec(tuple(key.sizes), g.spec.dtype)) if key.slices else call.out
    add.from_rows(made, key.sizes, (*key.picks, *key.rest), out)
    if key.slices:
        add(ops.scatter_add, out, out=call.out, key=key.basic, shape=shape)
    return True
