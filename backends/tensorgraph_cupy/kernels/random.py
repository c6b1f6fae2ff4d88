"""Random words and dropout: one launch each, with the bits that every backend has."""

from __future__ import annotations

import math
from typing import Any

from numpy import float32, uint32

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.arrays import Arrays, Ints
from tensorgraph_cupy.kernels.launching import THREADS, grid, sized


def words(device: Device, keys: int, out: int, rows: int, width: int) -> None:
    """uint32 (rows, width) at ``out``: each row is the begin of the stream of its own key."""
    if blocks := rows * (-(-width // 4)):
        program, count = sized("random.cu", "float32", rows * max(width, 4))
        arguments = (keys, out, count(rows), count(width))
        device.launch(program, "random_words", grid(device, blocks), (THREADS,), arguments)


def normals(device: Device, u: int, out: int, size: int) -> None:
    """So many float32 of the standard normal distribution, from as many pairs in [0, 1)."""
    program, count = sized("random.cu", "float32", size)
    arguments = (u, out, count(size))
    device.launch(program, "box_muller", grid(device, -(-size // 2)), (THREADS,), arguments)


def drop(
    device: Device, dtype: str, x: int, key: int, out: int, shape: tuple[int, int, int], p: float
) -> None:
    """Dropout over channels-last memory; ``shape`` is (samples, channels, places)."""
    samples, channels, places = shape
    size = samples * channels * places
    bound = round((1 - p) * 2**32)
    if not bound or not size:
        device.fill(out, size * (4 if dtype == "float32" else 2))
        return
    threads = samples * channels * -(-places // 4) if places > 1 else -(-size // 4)
    program, count = sized("random.cu", dtype, size)
    arguments = (x, key, out, count(size), count(channels), count(places))
    limits = (uint32(bound - 1), float32(1 / (1 - p)))
    device.launch(program, "drop", grid(device, threads), (THREADS,), (*arguments, *limits))


def random_bits(arrays: Arrays, key: Any, *, shape: Ints) -> Any:
    out = arrays.xp.empty(shape, "uint32")
    key = arrays.xp.ascontiguousarray(key)
    words(arrays.device, arrays.address(key), arrays.address(out), 1, math.prod(shape))
    return out


def random_bits_each(arrays: Arrays, keys: Any, *, shape: Ints) -> Any:
    out = arrays.xp.empty(shape, "uint32")
    keys = arrays.xp.ascontiguousarray(keys)
    width = math.prod(shape[1:])
    words(arrays.device, arrays.address(keys), arrays.address(out), shape[0], width)
    return out


def drop_array(arrays: Arrays, x: Any, key: Any, *, p: float) -> Any:
    x, out = arrays.channels_last(x), arrays.empty(x.shape, x.dtype)
    key = arrays.xp.ascontiguousarray(key)
    shape = (*x.shape[:2], math.prod(x.shape[2:])) if x.ndim > 2 else (x.size, 1, 1)
    where = (arrays.address(x), arrays.address(key), arrays.address(out))
    drop(arrays.device, "float32", *where, shape, p)
    return out
