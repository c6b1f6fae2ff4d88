"""Picking elements along axes: take, split, flip, one-hot codes, the order that sorts."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tensorgraph import config
from tensorgraph.errors import DtypeError, ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import cast, equal
from tensorgraph.ops.shape import axis_of
from tensorgraph.spec import Shaped, Spec, kind
from tensorgraph_ops.getitem import ALL, getitem

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


def take(x: Tensor, indices: Any, *, axis: int) -> Tensor:
    """``x`` at integer ``indices`` (a tensor, array or list of any shape) along one axis."""
    return getitem(x, (*[ALL] * axis_of("take", x, axis), indices))


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    """The rows of ``weight``, (n, …), at integer ``indices`` of any shape."""
    return take(weight, indices, axis=0)


def take_along_axis(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """``x[…, indices[…, i, …], …]``: an index along ``axis`` for each element of ``indices``,
    whose other axes broadcast with those of ``x``."""
    axis = axis_of("take_along_axis", x, axis)
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: indices {indices.spec} need as many axes as {x.spec}")
    key: list[Any] = [0] * x.ndim
    for i, n in enumerate(x.shape):
        if n != 1:
            column = x.constant(range(n), "int64")
            key[i] = getitem(column, (ALL, *[None] * (x.ndim - i - 1)))
    key[axis] = indices
    return getitem(x, tuple(key))


def one_hot(indices: Tensor, *, num_classes: int, dtype: str | None = None) -> Tensor:
    """1 at the index on a new last axis, else 0: integers (…) → (…, num_classes)."""
    if kind(indices.dtype) != 1:
        raise DtypeError(f"one_hot: needs integers, not {indices.spec}; cast them")
    chosen = equal(getitem(indices, (..., None)), indices.constant(range(num_classes)))
    return cast(chosen, dtype=dtype or config.current().dtype.value)


def split(x: Tensor, indices_or_sections: Any, *, axis: int = 0) -> list[Tensor]:
    """Parts along an axis: so many equal ones, or those that begin at the given indices."""
    axis = axis_of("split", x, axis)
    n, parts = x.shape[axis], indices_or_sections
    if isinstance(parts, int):
        if parts < 1 or n % parts:
            raise ShapeError(
                f"split: axis {axis} of {x.spec} does not fall into {parts} equal parts; give the "
                "indices at which the parts begin"
            )
        parts = [n // parts * i for i in range(1, parts)]
    return [getitem(x, (*[ALL] * axis, slice(a, b))) for a, b in pairwise([0, *parts, n])]


def flip(x: Tensor, *, axis: Any = None) -> Tensor:
    """The elements in reverse order along one axis, several or all."""
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    chosen = {axis_of("flip", x, a) for a in axes}
    return getitem(x, tuple(slice(None, None, -1 if i in chosen else 1) for i in range(x.ndim)))


@op
def argsort(x: Shaped, *, axis: int = -1) -> Spec:
    """The indices (int64) that sort along an axis, smallest first; equals keep their order."""
    return Spec(x.shape, "int64")


argsort.canonical(lambda x, *, axis: {"axis": axis_of("argsort", x, axis)})

argsort.kernel(lambda xp, x, *, axis: xp.argsort(x, axis=axis, stable=True))
