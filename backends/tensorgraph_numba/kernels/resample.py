"""Images at other places, linearly between pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph_numba.kernels.lanes import instruction, pointer
from tensorgraph_numba.kernels.layout import described
from tensorgraph_numba.native import Call, bind, inner, kernel


@instruction
def as_number(context: Any, value: Any, like: Any) -> Any:
    """A whole number as the type of ``like``."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return target.cast(builder, arguments[0], value, like)

    return like(value, like), generate


@inner
def _inside(place: Any, last: int, like: Any) -> tuple[int, Any]:
    """The pixel before a place, which is brought into the image, and how far it is from there.
    What is no number is at 0, so that nothing is ever read beyond the image."""
    low, high = as_number(0, like), as_number(last, like)
    place = place if place > low else low
    place = place if place < high else high
    before = int(place)
    return before, place - as_number(before, like)


@kernel
def resample_plane(a: Any, like: Any) -> None:
    x, rows, columns = pointer(a[0], like), pointer(a[2], like), pointer(a[4], like)
    out, last_row, last_column = pointer(a[6], like), a[8] - 1, a[9] - 1
    x_sample, x_row, x_column = a[10], a[11], a[12]
    row_sample, row_row, row_column = a[13], a[14], a[15]
    column_sample, column_row, column_column = a[16], a[17], a[18]
    out_sample, out_row, out_column = a[19], a[20], a[21]
    one = as_number(1, like)
    for i in range(a[22]):
        for j in range(a[23]):
            p = i * row_sample + j * row_row
            q = i * column_sample + j * column_row
            to = i * out_sample + j * out_row
            for k in range(a[24]):
                above, down = _inside(rows[p + k * row_column], last_row, like)
                left, across = _inside(columns[q + k * column_column], last_column, like)
                at = i * x_sample + above * x_row + left * x_column
                below = x_row if above < last_row else 0
                right = x_column if left < last_column else 0
                upper = x[at] * (one - across) + x[at + right] * across
                lower = x[at + below] * (one - across) + x[at + below + right] * across
                out[to + k * out_column] = upper * (one - down) + lower * down


def resample(images: Any, rows: Any, columns: Any, out: Any) -> list[Call]:
    """The op of this name: images (n, …, H, W), places (n, H', W'), which may repeat elements by
    steps of 0."""
    if images.dtype not in (np.float32, np.float64) or out.ndim != images.ndim or not images.size:
        raise ValueError(f"resample: takes images of floats, not {described(images)}")
    size = out.shape[-2:]
    rows, columns = (np.broadcast_to(x, (len(images), *size)) for x in (rows, columns))
    made = []
    for plane in np.ndindex(images.shape[1:-2]):
        at = (slice(None), *plane)
        arrays = images[at], rows, columns, out[at]
        steps = [s // x.itemsize for x in (images[at], rows, columns, out[at]) for s in x.strides]
        sizes = *images.shape[-2:], *steps, *out[at].shape
        made.append(bind(resample_plane, images.dtype.name, *arrays, *sizes))
    return made
