"""Multiply-adds per second of tiles, products and convolutions of the Numba kernels, on one thread.

python bench/bench_tile.py [float32|float64] [tiles|products|layers]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
from tensorgraph_numba.kernels.choice import WIDTHS, most_rows
from tensorgraph_numba.kernels.conv import (
    conv,
    conv_count,
    conv_input,
    conv_input_count,
    conv_input_weights,
    conv_weights,
)
from tensorgraph_numba.kernels.conv_weight import conv_weight
from tensorgraph_numba.kernels.matmul import matmul
from tensorgraph_numba.kernels.program import Loop, Place, Program, Strides
from tensorgraph_numba.kernels.tile_code import Shape
from tensorgraph_numba.native import Call, driver, run, table
from tensorgraph_numba.vector import unit

DEPTH = 256  # products in the sums of the tiles that are measured
PRODUCTS = [  # m, k, n
    (64, 400, 120), (64, 84, 10), (64, 784, 512), (100, 2, 16), (100, 16, 1), (1, 784, 512),
    (512, 512, 512), (64, 2048, 2048),
]  # fmt: skip
LAYERS = {  # samples, channels, filters, size, taps, stride, padding, dilation, groups
    "lenet 1": (32, 1, 6, 28, 5, 1, 2, 1, 1),
    "lenet 2": (32, 6, 16, 14, 5, 1, 0, 1, 1),
    "1 to 32 at 28": (32, 1, 32, 28, 3, 1, 0, 1, 1),
    "32 to 64 at 13": (32, 32, 64, 13, 3, 1, 0, 1, 1),
    "3 to 64 at 32": (16, 3, 64, 32, 3, 1, 1, 1, 1),
    "stem 7x7 at 224": (2, 3, 64, 224, 7, 2, 3, 1, 1),
    "64 at 32": (8, 64, 64, 32, 3, 1, 1, 1, 1),
    "512 at 7": (8, 512, 512, 7, 3, 1, 1, 1, 1),
    "64 to 128 at 32, stride 2": (16, 64, 128, 32, 3, 2, 1, 1, 1),
    "1x1 64 to 256 at 56": (2, 64, 256, 56, 1, 1, 0, 1, 1),
    "1x1 64 to 128 at 32, stride 2": (16, 64, 128, 32, 1, 2, 0, 1, 1),
    "depthwise 32 at 112": (2, 32, 32, 112, 3, 1, 1, 1, 32),
    "32 groups of 4 at 56": (2, 128, 128, 56, 3, 1, 1, 1, 32),
    "odd": (8, 19, 45, 23, 3, 1, 1, 1, 1),
    "odd, groups, stride 2": (4, 50, 75, 29, 5, 2, 2, 1, 5),
}


def aligned(values: np.ndarray) -> np.ndarray:
    """A copy that begins at a multiple of 64 bytes."""
    buffer = np.empty(values.size + 64, values.dtype)
    first = -(buffer.ctypes.data // values.itemsize) % (64 // values.itemsize)
    out = buffer[first : first + values.size].reshape(values.shape)
    out[...] = values
    return out


def normal(*shape: int, dtype: str) -> np.ndarray:
    return aligned(np.random.default_rng(0).standard_normal(shape).astype(dtype))


def seconds(calls: Sequence[Call]) -> float:
    """The least of several turns of some milliseconds."""
    rows = table(calls)
    once = driver(rows, 0, 1)
    once()
    begin = time.perf_counter()
    once()
    turns = max(1, int(3e-3 / (time.perf_counter() - begin)))
    many, times = driver(np.concatenate([rows] * turns), 0, 1), []
    for _ in range(12):
        begin = time.perf_counter()
        many()
        times.append((time.perf_counter() - begin) / turns)
    return min(times)


def report(name: str, flops: float, *calls: Sequence[Call]) -> None:
    each = [seconds(x) for x in calls]
    figures = "".join(f"{flops / t / 1e9:8.1f} GFLOP/s {t * 1e6:10.1f} us" for t in each)
    print(f"{name:32}{figures}", flush=True)


def tiles(dtype: str) -> None:
    """Every width that products are cut into, with all the rows that fit, half of them and one."""
    whole, size = unit().lanes(dtype), np.dtype(dtype).itemsize
    widths = [(v, whole, m) for v in WIDTHS for m in (False, True) if most_rows(v)]
    widths += [(1, n, m) for n in (whole // 2, whole // 4) for m in (False, True) if n > 1]
    for vectors, lanes, masked in widths:
        most = most_rows(vectors)
        for rows in sorted({most, -(-most // 2), 1}, reverse=True):
            columns = vectors * lanes - masked
            a, b = normal(rows, DEPTH, dtype=dtype), normal(DEPTH, vectors * lanes, dtype=dtype)
            c = normal(rows, vectors * lanes, dtype=dtype)
            program = Program(dtype, 1, (a, b, c))
            strides = Strides(
                *(x.strides[0] for x in (a, c)), 0, (0, 0, size), (0, 0, b.strides[0])
            )
            shape = Shape(rows, vectors, lanes, masked)
            place = Place(*(x.ctypes.data for x in (a, b, c)))
            loops, last = [Loop(100)], lanes - masked
            program.tile(shape, place, strides, (1, 1, DEPTH), loops, last)
            name = f"{rows} x {vectors} x {lanes}{' masked' if masked else ''}"
            report(name, 200 * rows * columns * DEPTH, program.calls())


def products(dtype: str) -> None:
    """x @ y; x @ y.T; x.T @ y."""
    for m, k, n in PRODUCTS:
        out = normal(m, n, dtype=dtype)
        made = {shape: normal(*shape, dtype=dtype) for shape in ((m, k), (k, m), (k, n), (n, k))}
        pairs = [(made[m, k], made[k, n]), (made[m, k], made[n, k].T), (made[k, m].T, made[k, n])]

        def scratch(count: int) -> np.ndarray:
            return aligned(np.empty(count + 64, dtype))

        calls = [matmul(x, y, out, scratch=scratch) for x, y in pairs]
        report(f"{m} x {k} x {n}", 2 * m * k * n, *calls)


def layers(dtype: str) -> None:
    """Forward, gradient in the image, gradient in the weights."""
    for name, (n, c, f, size, k, stride, padding, dilation, groups) in LAYERS.items():
        out = (size + 2 * padding - (k - 1) * dilation - 1) // stride + 1
        x = np.moveaxis(normal(n, size, size, c, dtype=dtype), -1, 1)
        y = np.moveaxis(normal(n, out, out, f, dtype=dtype), -1, 1)
        w = normal(k, k, c // groups, f, dtype=dtype).transpose(3, 2, 0, 1)
        given = {
            "stride": (stride,) * 2, "padding": ((padding,) * 2,) * 2,
            "dilation": (dilation,) * 2, "groups": groups,
        }  # fmt: skip
        panels, turned = (
            normal(count(x, w, y, **given), dtype=dtype) for count in (conv_count, conv_input_count)
        )
        for prepare, to in ((conv_weights, panels), (conv_input_weights, turned)):
            if to.size:
                run(prepare(x, w, y, to, **given))
        calls = (
            conv(x, w, y, prepared=panels if panels.size else None, **given),
            conv_input(y, w, x, prepared=turned if turned.size else None, **given),
            conv_weight(x, y, w, **given),
        )
        report(name, 2 * n * f * out**2 * c // groups * k**2, *calls)


def main(words: Sequence[str]) -> None:
    dtype = next((word for word in words if word.startswith("float")), "float32")
    parts = {"tiles": tiles, "products": products, "layers": layers}
    print(f"{unit().name}, {dtype}: {unit().lanes(dtype)} lanes")
    for name in [word for word in words if word in parts] or parts:
        print(parts[name].__doc__)
        parts[name](dtype)


if __name__ == "__main__":
    main(sys.argv[1:])
