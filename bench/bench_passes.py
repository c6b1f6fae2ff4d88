"""Pooling, rows, dropout, copies and moments of the Numba kernels on one thread, beside NumPy.

python bench/bench_passes.py [float32|float64] [compile]     compile: seconds of each kernel, anew
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from bench_tile import aligned, seconds
from tensorgraph_numba import native
from tensorgraph_numba.kernels import dropout, label_loss, layout, moments, pool, rows
from tensorgraph_ops.pool import Windows, window_axes

import tensorgraph as tg

PLAIN = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
WIDE = Windows((3, 3), (2, 2), (1, 1), (1, 1), False)
POOLS = [
    ((16, 6, 28, 28), PLAIN),
    ((16, 16, 10, 10), PLAIN),
    ((16, 32, 26, 26), PLAIN),
    ((16, 64, 11, 11), PLAIN),
    ((8, 64, 32, 32), WIDE),
]
KEY = np.array([1, 2, 3, 4], "uint32")


class Bench:
    """Arrays of one dtype, and what is printed of them."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def normal(self, *shape: int) -> Any:
        return aligned(np.random.default_rng(0).standard_normal(shape).astype(self.dtype))

    def images(self, n: int, c: int, *size: int) -> Any:
        return np.moveaxis(self.normal(n, *size, c), -1, 1)

    def scratch(self, count: int) -> Any:
        return aligned(np.empty(count + 64, self.dtype))

    def report(
        self, name: str, size: int, calls: Any, numpy: Any, *given: Any, **more: Any
    ) -> None:
        """``numpy`` is called with what follows."""
        times = []
        for _ in range(9):
            begin = time.perf_counter()
            numpy(*given, **more)
            times.append(time.perf_counter() - begin)
        own = seconds(calls)
        figures = f"{own * 1e6:9.1f} us {own / size * 1e9:7.3f} ns/element"
        print(f"{name:44}{figures}   NumPy {min(times) * 1e6:9.1f} us", flush=True)


def portable(name: str, *given: Any, **parameters: Any) -> Any:
    return getattr(tg.ops, name).portable(np, *given, **parameters)


def pooling(bench: Bench) -> None:
    for shape, windows in POOLS:
        x, gx = bench.images(*shape), bench.images(*shape)
        reach = [axis.reach for axis in window_axes("max_pool", x, windows)]
        y, g = (bench.images(*shape[:2], *reach) for _ in range(2))
        given = {"windows": windows, "scratch": bench.scratch}
        name = f"{list(shape)} {windows.kernel_size[0]} / {windows.stride[0]}"
        calls, size = pool.max_pool(x, y, **given), x.size
        native.run(calls)
        parameters = windows._asdict()
        bench.report(f"max_pool {name}", size, calls, portable, "max_pool", x, **parameters)
        calls, of = pool.max_pool_input(g, x, y, gx, **given), "max_pool_input"
        bench.report(f"{of} {name}", size, calls, portable, of, g, x, y, windows=windows)
        del parameters["dilation"]
        parameters["count_include_pad"] = given["count_include_pad"] = False
        calls = pool.avg_pool(x, y, **given)
        bench.report(f"avg_pool {name}", size, calls, portable, "avg_pool", x, **parameters)
    x, y = bench.images(32, 512, 4, 4), bench.normal(32, 512)
    calls = pool.spatial_sum(x, y, scale=1 / 16, scratch=bench.scratch)
    bench.report("mean of [32, 512, 4, 4] over pixels", x.size, calls, np.mean, x, axis=(2, 3))


def losses(bench: Bench) -> None:
    for shape in ((64, 10), (128, 10), (64, 1000)):
        x, out = bench.normal(*shape), bench.normal(*shape)
        labels = np.arange(shape[0]) % shape[1]
        loss, given = np.zeros((), bench.dtype), {"ignore_index": -100, "reduction": "mean"}
        name, calls = f"softmax {list(shape)}", rows.softmax(x, out)
        bench.report(name, x.size, calls, portable, "softmax", x, axis=1)
        of, calls = "label_cross_entropy", label_loss.label_cross_entropy(x, labels, loss, **given)
        bench.report(f"{of} {list(shape)}", x.size, calls, portable, of, x, labels, **given)
        of += "_input"
        calls = label_loss.label_cross_entropy_input(loss, x, labels, out, **given)
        bench.report(f"{of} {list(shape)}", x.size, calls, portable, of, loss, x, labels, **given)


def drops(bench: Bench) -> None:
    dense = [(bench.normal(*s), bench.normal(*s)) for s in ((128, 1024), (64, 120))]
    images = [(bench.images(*s), bench.images(*s)) for s in ((16, 64, 5, 5), (8, 32, 26, 26))]
    for x, out in dense + images:
        calls = dropout.drop(x, KEY, out, p=0.5, first=0, scratch=bench.scratch)
        bench.report(f"drop {list(x.shape)}", x.size, calls, portable, "drop", x, KEY, p=0.5)


def copies(bench: Bench) -> None:
    cases = {}
    for shape in ((64, 3, 32, 32), (128, 64, 5, 5), (8, 64, 32, 32)):
        cases[f"{list(shape)} to channels last"] = bench.normal(*shape), bench.images(*shape)
        cases[f"{list(shape)} from channels last"] = bench.images(*shape), bench.normal(*shape)
    for shape in ((512, 784), (784, 512)):
        cases[f"{list(shape)} transposed"] = bench.normal(*shape[::-1]).T, bench.normal(*shape)
    cases["[64, 3, 32, 32] as it is"] = bench.normal(64, 3, 32, 32), bench.normal(64, 3, 32, 32)
    for name, (x, out) in cases.items():
        bench.report(f"copy {name}", x.size, layout.copy(x, out), np.copyto, out, x)
    parts, out = [bench.normal(512, 784) for _ in range(2)], bench.normal(512, 784)
    calls = layout.add_partials(parts, out)
    bench.report("add_partials 2 x [512, 784]", out.size, calls, np.add, *parts, out)


def mean_and_variance(x: Any, axis: Any) -> tuple[Any, Any]:
    return x.mean(axis=axis), x.var(axis=axis)


def means(bench: Bench) -> None:
    for shape in ((2, 64, 32, 32), (8, 128, 16, 16), (8, 512, 4, 4), (16, 6, 28, 28)):
        x, part = bench.images(*shape), np.zeros(moments.moments_size(shape[1]))
        calls = moments.channel_moments(x, part, accumulate=False, scratch=bench.scratch)
        name = f"moments of channels {list(shape)}"
        bench.report(name, x.size, calls, mean_and_variance, x, (0, 2, 3))
    x, average, variance = bench.normal(128, 512), bench.normal(128), bench.normal(128)
    calls = moments.row_moments(x, average, variance, axes=1)
    bench.report("moments of rows [128, 512]", x.size, calls, mean_and_variance, x, 1)


def compile_all(dtype: str) -> None:
    """Seconds of each kernel of these modules; the first pays for LLVM's start."""
    for module in ("pool_windows", "rows", "label_loss", "dropout", "layout", "moments"):
        for name, kernel in native.KERNELS.items():
            if f".{module}." in name:
                begin = time.perf_counter()
                native.address(kernel, dtype)
                print(f"{name.split('kernels.')[1]:36}{time.perf_counter() - begin:6.2f} s")


def main(words: Sequence[str]) -> None:
    dtype = next((word for word in words if word.startswith("float")), "float32")
    if "compile" in words:
        compile_all(dtype)
        return
    for part in (pooling, losses, drops, copies, means):
        part(Bench(dtype))


if __name__ == "__main__":
    if "compile" in sys.argv and "NUMBA_CACHE_DIR" not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["NUMBA_CACHE_DIR"] = folder
            os.execv(sys.executable, [sys.executable, *sys.argv])
    main(sys.argv[1:])
