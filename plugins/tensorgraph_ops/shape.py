"""Joining, padding, repeating and rolling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import one_dtype
from tensorgraph.ops.shape import axis_of, broadcast_to, reshape
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.axes import expand_dims
from tensorgraph_ops.getitem import getitem
from tensorgraph_ops.index import split, take

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


@op
def concatenate(*xs: Shaped, axis: int) -> Spec:
    """What ``concat`` runs."""
    if len({(*x.shape[:axis], -1, *x.shape[axis + 1 :]) for x in xs}) > 1:
        raise ShapeError(f"concat: shapes differ not only in axis {axis}: {_listed(xs)}")
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return Spec(tuple(shape), one_dtype("concat", *xs))


def _listed(xs: Sequence[Shaped]) -> str:
    return ", ".join(str(Spec(x.shape, x.dtype)) for x in xs) or "there are none"


concatenate.canonical(lambda *xs, axis: {"axis": axis_of("concat", xs[0], axis)})

concatenate.kernel(lambda xp, *xs, axis: xp.concat(xs, axis=axis))


@concatenate.vjp
def _(g: Tensor, *xs: Shaped, axis: int) -> Any:
    return tuple(split(g, accumulate([x.shape[axis] for x in xs[:-1]]), axis=axis))


def concat(xs: Sequence[Tensor], *, axis: int | None = 0) -> Tensor:
    """One tensor after the other along an axis; None flattens them first."""
    if not xs:
        raise ShapeError("concat: the sequence is empty; give at least one tensor")
    if axis is None:
        return concatenate(*[reshape(x, shape=(-1,)) for x in xs], axis=0)
    return concatenate(*xs, axis=axis)


def stack(xs: Sequence[Tensor], *, axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    if len({x.shape for x in xs}) != 1:
        raise ShapeError(f"stack: needs tensors of one shape: {_listed(xs)}")
    return concat([expand_dims(x, axis=axis) for x in xs], axis=axis)


@op
def pad_constant(x: Shaped, *, pad_width: Pairs, constant_values: float) -> Spec:
    """What ``pad`` runs for "constant"; ``pad_width`` has a pair for each axis."""
    return Spec(tuple(low + n + high for n, (low, high) in zip(x.shape, pad_width)), x.dtype)


def _inside(x: Shaped, pad_width: Pairs) -> tuple[slice, ...]:
    return tuple(slice(low, low + n) for n, (low, _) in zip(x.shape, pad_width))


@pad_constant.kernel
def _(xp: Any, x: Any, *, pad_width: Pairs, constant_values: float) -> Any:
    return padded(xp, x, pad_width, constant_values)


def padded(xp: Any, x: Any, pad_width: Pairs, value: float) -> Any:
    """An array with more elements of one value at both ends of each axis."""
    shape = tuple(low + n + high for n, (low, high) in zip(x.shape, pad_width))
    out = xp.full(shape, value, dtype=x.dtype)
    out[_inside(x, pad_width)] = x
    return out


@pad_constant.vjp
def _(g: Tensor, x: Shaped, *, pad_width: Pairs) -> Tensor:
    return getitem(g, _inside(x, pad_width))


def pad(x: Tensor, pad_width: Any, *, mode: str = "constant", constant_values: float = 0) -> Tensor:
    """More elements at both ends of each axis: a number, (before, after), or such a pair for
    each axis. ``mode``: "constant", "edge" (the last element again) or "reflect" (mirrored at
    the last element)."""
    widths = _pairs(x, pad_width)
    if mode == "constant":
        return pad_constant(x, pad_width=widths, constant_values=constant_values)
    if mode not in ("edge", "reflect"):
        raise ShapeError(f"pad: mode {mode!r} is not one of constant, edge, reflect")
    for axis, (low, high) in enumerate(widths):
        n, wanted = x.shape[axis], range(-low, x.shape[axis] + high)
        if len(wanted) == n:
            continue
        if not n:
            raise ShapeError(f"pad: axis {axis} of {x.spec} is empty: there is nothing to {mode}")
        period = max(2 * n - 2, 1)  # of 0 1 2 … n-1 … 2 1
        edge = [min(max(i, 0), n - 1) for i in wanted]
        mirrored = [min(i % period, -i % period) for i in wanted]
        x = take(x, edge if mode == "edge" else mirrored, axis=axis)
    return x


def _pairs(x: Tensor, width: Any) -> Pairs:
    """A pair for each axis, from what NumPy accepts."""
    rows: list[Any] = [width] if isinstance(width, int) else list(width)
    rows = [rows] if rows and all(isinstance(n, int) for n in rows) else rows
    rows = [tuple(row) * (2 // len(row)) if 0 < len(row) < 3 else (-1,) for row in rows]
    rows = rows * x.ndim if len(rows) == 1 else rows
    if len(rows) != x.ndim or any(min(row) < 0 for row in rows):
        raise ShapeError(
            f"pad: pad_width {width} does not fit {x.spec}: it is a number, a pair (before, "
            "after), or a pair for each axis, none of them negative"
        )
    return tuple(rows)


def tile(x: Tensor, repetitions: Any) -> Tensor:
    """``x`` repeated so often along each axis; missing counts in front are 1."""
    counts = [repetitions] if isinstance(repetitions, int) else list(repetitions)
    if min(counts, default=0) < 0:
        raise ShapeError(f"tile: repetitions {counts} must not be negative")
    ndim = max(x.ndim, len(counts))
    counts = [1] * (ndim - len(counts)) + counts
    sizes = (1,) * (ndim - x.ndim) + x.shape
    folded = reshape(x, shape=tuple(m for n in sizes for m in (1, n)))
    wide = broadcast_to(folded, shape=tuple(m for pair in zip(counts, sizes) for m in pair))
    return reshape(wide, shape=tuple(r * n for r, n in zip(counts, sizes)))


def roll(x: Tensor, shift: Any, *, axis: Any = None) -> Tensor:
    """The elements moved on along an axis (or several), those that leave it re-entering at the
    start; None: as if flattened."""
    if axis is None:
        return reshape(roll(reshape(x, shape=(-1,)), shift, axis=0), shape=x.shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    if len(axes) != len(shifts):
        raise ShapeError(f"roll: {len(shifts)} shifts do not fit {len(axes)} axes")
    for by, a in zip(shifts, axes):
        at = axis_of("roll", x, a)
        cut = -by % max(x.shape[at], 1)
        if cut:
            x = concat(split(x, [cut], axis=at)[::-1], axis=at)
    return x


for _mover in (concatenate, pad_constant):
    _mover.flops(lambda *_, **__: 0)
