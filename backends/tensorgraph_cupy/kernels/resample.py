"""Images at places between their pixels, in one launch instead of some twenty."""

from __future__ import annotations

import math
from typing import Any

from tensorgraph.spec import Shaped
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.arrays import Arrays, Ints
from tensorgraph_cupy.kernels.launching import THREADS, grid, pack, sized
from tensorgraph_cupy.kernels.view import View, view


def resample(
    device: Device,
    dtype: str,
    images: Ints,
    places: Ints,
    x: int,
    out: int,
    rows: tuple[int, Ints],
    columns: tuple[int, Ints],
) -> None:
    """The images at ``x``, whose sizes are (n, height, width, channels), at so many ``places``
    (height, width): ``rows`` and ``columns`` are float32, their addresses and their strides along
    (n, height, width), 0 where they repeat."""
    n, height, width, channels = images
    size = n * math.prod(places) * channels
    if not size:
        return
    packed = pack(dtype, channels, x, out)
    program, count = sized("resample.cu", dtype, max(size, math.prod(images)), WIDTH=packed)
    steps = (*rows[1], *columns[1])
    numbers = [count(number) for number in (n, height, width, channels, *places, *steps)]
    arguments = (x, rows[0], columns[0], out, *numbers)
    device.launch(program, "resample", grid(device, size // packed), (THREADS,), arguments)


def repeated(x: View) -> tuple[int, Ints]:
    """The address of places that broadcast, and their strides: 0 along axes of size 1."""
    return x.address, tuple(0 if n == 1 else step for n, step in zip(x.shape, x.strides))


def resample_array(arrays: Arrays, images: Any, rows: Any, columns: Any) -> Any:
    xp = arrays.xp
    n, *middle, height, width = images.shape
    places = tuple(max(a, b) for a, b in zip(rows.shape[1:], columns.shape[1:]))
    x = arrays.channels_last(images.reshape(n, math.prod(middle), height, width))
    out = arrays.empty((n, math.prod(middle), *places), x.dtype)
    rows, columns = xp.ascontiguousarray(rows), xp.ascontiguousarray(columns)
    where = [repeated(view(arrays, t)) for t in (rows, columns)]
    shape = (n, height, width, math.prod(middle))
    resample(
        arrays.device, "float32", shape, places, arrays.address(x), arrays.address(out), *where
    )
    return out.reshape(n, *middle, *places)


def supports(images: Shaped, rows: Shaped, columns: Shaped) -> bool:
    """Whether images and places are float32, and there are places: sizes 0 and 1 broadcast to 0."""
    return images.dtype == "float32" and 0 not in (*rows.shape[1:], *columns.shape[1:])
