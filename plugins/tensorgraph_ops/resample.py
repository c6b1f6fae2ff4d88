"""Images at places between their pixels: what turning, moving and bending them comes down to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import broadcast, cast, floating, greater, less, logical_and
from tensorgraph.ops.reduction import sum as sum_of
from tensorgraph.ops.shape import reshape
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.elementwise import clip, floor
from tensorgraph_ops.getitem import ARRAY, gather, scatter_add

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


@op
def resample(images: Shaped, rows: Shaped, columns: Shaped) -> Spec:
    """Images (n, …, H, W) at places in pixels, linearly between the four neighbours of each:
    ``rows`` and ``columns``, which broadcast to (n, H', W'), give (n, …, H', W').

    Beyond its border an image goes on with its outermost pixels, so that the gradient in a place is
    0 there; on a line of pixels it is that of the pixels before and after it.
    """
    dtype = floating("resample", images, rows, columns)
    n, *_ = sizes = images.shape
    if len(sizes) < 3 or not (rows.ndim == columns.ndim == 3) or 0 in sizes[-2:]:
        raise ShapeError(
            "resample: takes images (n, …, H, W) that have pixels, and places (n, H', W'), not "
            f"{list(sizes)}, {list(rows.shape)} and {list(columns.shape)}"
        )
    places = broadcast("resample", Spec((n, 1, 1), dtype), rows, columns)
    if places[0] != n:
        raise ShapeError(f"resample: places {list(places)} are not those of {n} images")
    return Spec((*sizes[:-2], *places[1:]), dtype)


resample.flops(lambda out, images, rows, columns: 6 * out.size)


@resample.kernel
def _(xp: Any, images: Any, rows: Any, columns: Any) -> Any:
    n, *middle, height, width = images.shape
    flat = xp.reshape(images, (-1,))
    starts = xp.arange(n * math.prod(middle), dtype=xp.int64) * (height * width)
    starts = xp.reshape(starts, (n, math.prod(middle), 1, 1))
    above, below, down = _neighbours(xp, rows, height)
    left, right, across = _neighbours(xp, columns, width)

    def at(row: Any, column: Any) -> Any:
        places = starts + (row * width + column)[:, None, :, :]
        return xp.reshape(xp.take(flat, xp.reshape(places, (-1,)), axis=0), places.shape)

    down, across = down[:, None, :, :], across[:, None, :, :]
    upper = at(above, left) * (1 - across) + at(above, right) * across
    lower = at(below, left) * (1 - across) + at(below, right) * across
    found = upper * (1 - down) + lower * down
    return xp.reshape(found, (n, *middle, *found.shape[-2:]))


def _neighbours(xp: Any, places: Any, size: int) -> tuple[Any, Any, Any]:
    """The pixels before and after each place, and how far it is from the first; what is no number
    is at 0."""
    inside = xp.where(places > 0, places, xp.zeros_like(places))
    inside = xp.where(inside < size - 1, inside, xp.full_like(inside, size - 1))
    before = xp.astype(inside, xp.int64)
    after = xp.where(before < size - 1, before + 1, before)
    return before, after, inside - xp.astype(before, places.dtype)


class _Axis(NamedTuple):
    """Rows or columns in ops, with an axis for the planes of an image: the pixels before and after
    a place, how much each counts, and where the place is inside of the image."""

    pixels: tuple[Tensor, Tensor]
    shares: tuple[Tensor, Tensor]
    inside: Tensor


def _axis(places: Tensor, size: int) -> _Axis:
    n, height, width = places.shape
    places = reshape(places, shape=(n, 1, height, width))
    kept = clip(places, min=0, max=size - 1)
    before = floor(kept)
    first, share = cast(before, dtype="int64"), kept - before
    inside = cast(logical_and(greater(places, 0), less(places, size - 1)), dtype=places.dtype)
    return _Axis((first, clip(first + 1, max=size - 1)), (1 - share, share), inside)


@resample.vjp
def _(g: Tensor, images: Tensor, rows: Tensor, columns: Tensor) -> Any:
    n, *middle, height, width = images.shape
    planes = math.prod(middle)
    g = reshape(g, shape=(n, planes, *g.shape[-2:]))
    down, across = _axis(rows, height), _axis(columns, width)
    starts = g.constant([i * height * width for i in range(n * planes)], "int64")
    starts = reshape(starts, shape=(n, planes, 1, 1))

    def at(i: int, j: int) -> Tensor:
        return starts + (down.pixels[i] * width + across.pixels[j])

    def values(i: int, j: int) -> Tensor:
        return gather(reshape(images, shape=(-1,)), at(i, j), key=(ARRAY,))

    def in_images() -> Tensor:
        def spread(i: int, j: int) -> Tensor:
            share = g * down.shares[i] * across.shares[j]
            return scatter_add(share, at(i, j), key=(ARRAY,), shape=(images.size,))

        found = spread(0, 0) + spread(0, 1) + spread(1, 0) + spread(1, 1)
        return reshape(found, shape=images.shape)

    def in_rows() -> Tensor:
        left, right = (values(1, j) - values(0, j) for j in (0, 1))
        slope = left * across.shares[0] + right * across.shares[1]
        return sum_of(g * slope * down.inside, axis=1)

    def in_columns() -> Tensor:
        upper, lower = (values(i, 1) - values(i, 0) for i in (0, 1))
        slope = upper * down.shares[0] + lower * down.shares[1]
        return sum_of(g * slope * across.inside, axis=1)

    return in_images, in_rows, in_columns
