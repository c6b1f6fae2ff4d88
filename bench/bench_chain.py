"""Chains beside loops written by hand for Numba, and beside NumPy; on one thread.

pytest bench/bench_chain.py --benchmark-enable --benchmark-only --benchmark-group-by=group
python bench/bench_chain.py    ratios of runs side by side, which a busy machine spoils less
"""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import njit
from tensorgraph_numba import native
from tensorgraph_numba.kernels.chain import Step, Sum, chain

RNG = np.random.default_rng(0)
OPTIONS = native.OPTIONS | {"cache": False}
ONE, ZERO = np.float32(1), np.float32(0)


def aligned(values):
    """Values as float32 at the begin of a cache line."""
    size = int(np.prod(np.shape(values)))
    whole = np.empty(size + 16, np.float32)
    begin = -whole.ctypes.data % 64 // 4
    x = whole[begin : begin + size].reshape(np.shape(values))
    x[...] = values
    return x


def normal(*shape):
    return aligned(RNG.standard_normal(shape))


def native_run(inputs, steps, outputs, sums=()):
    """A function that runs a chain."""
    made = [Step(*step) for step in steps]
    calls = chain(inputs, made, outputs, sums, scratch=lambda n: aligned(np.zeros(n + 64)))
    native.run(calls)
    run = native.driver(native.table(calls), 0, 1)

    def go(calls=calls):  # keeps the memory of the calls
        run()

    return go


@njit(**OPTIONS)
def mask_loop(g, x, out):
    for i in range(g.size):
        out[i] = g[i] * (ONE if x[i] > ZERO else ZERO)


@njit(**OPTIONS)
def bias_loop(x, bias, out):
    """Rows and a bias as long."""
    for i in range(len(x)):
        row, to = x[i], out[i]
        for j in range(row.size):
            y = row[j] + bias[j]
            to[j] = ZERO if y < ZERO else y


@njit(**OPTIONS)
def adam_loop(p, g, m, v, size, root, beta, beta2, eps):
    for i in range(p.size):
        m[i] += (g[i] - m[i]) * (ONE - beta)
        v[i] = v[i] * beta2 + g[i] * g[i] * (ONE - beta2)
        p[i] -= m[i] / (np.sqrt(v[i]) / root + eps) * size


@njit(**OPTIONS)
def moments_loop(g, out, x, mean, scale, rows, sums):
    """Rows of some pixels, the mean and scale repeated as often; then summed to channels."""
    rows[:] = 0
    a, b, c, d = rows[0], rows[1], rows[2], rows[3]
    for i in range(len(g)):
        gi, oi, xi = g[i], out[i], x[i]
        for j in range(gi.size):
            slope = gi[j] * (ONE if oi[j] > ZERO else ZERO)
            y = (xi[j] - mean[j]) * scale[j]
            a[j] += slope
            b[j] += slope * y
            c[j] += y
            d[j] += y * y
    channels = sums.shape[1]
    for k in range(4):
        for j in range(channels):
            sums[k, j] = rows[k, j::channels].sum()


def relu_mask(size):
    """The gradient of ReLU: g where the output is positive."""
    g, x, out = normal(size), normal(size), normal(size)
    steps = [("greater", (1, 2)), ("cast", (3,)), ("multiply", (0, 4))]
    return {
        "loop": lambda: mask_loop(g, x, out),
        "chain": native_run([g, x, 0.0], steps, [(5, out)]),
        "numpy": lambda: np.multiply(g, x > 0, out=out),
    }


def bias_relu(channels, size=65536):
    """A bias per channel and ReLU, channels innermost."""
    pixels = max(1, 512 // channels)
    x = normal(size // (channels * pixels) * pixels, channels)
    bias, out = normal(channels), aligned(np.zeros(x.shape))
    rows = [a.reshape(len(x) // pixels, -1) for a in (x, out)]
    wide = np.tile(bias, pixels)
    return {
        "loop": lambda: bias_loop(rows[0], wide, rows[1]),
        "chain": native_run([x, bias], [("add", (0, 1)), ("relu", (2,))], [(3, out)]),
        "numpy": lambda: np.maximum(np.add(x, bias, out=out), 0, out=out),
    }


def adam(size):
    """A whole update of Adam, in place."""
    p, g, m, v = (normal(size) for _ in range(4))
    np.square(v, out=v)
    step, root = np.array(1e-5, np.float32), np.array(0.9, np.float32)
    numbers = [np.float32(x) for x in (1e-5, 0.9, 0.9, 0.999, 1e-8)]
    steps = [
        ("subtract", (1, 2)), ("multiply", (10, 6)), ("add", (2, 11)), ("multiply", (3, 7)),
        ("multiply", (1, 1)), ("multiply", (14, 8)), ("add", (13, 15)), ("sqrt", (16,)),
        ("divide", (17, 5)), ("add", (18, 9)), ("divide", (12, 19)), ("multiply", (20, 4)),
        ("subtract", (0, 21)),
    ]  # fmt: skip
    inputs = [p, g, m, v, step, root, 1 - 0.9, 0.999, 1 - 0.999, 1e-8]

    def plain():
        m[...] += (g - m) * numbers[2]
        v[...] = v * numbers[3] + g * g * (ONE - numbers[3])
        p[...] -= m / (np.sqrt(v) / root + numbers[4]) * step

    return {
        "loop": lambda: adam_loop(p, g, m, v, *numbers),
        "chain": native_run(inputs, steps, [(12, m), (16, v), (22, p)]),
        "numpy": plain,
    }


def batch_norm_sums(images, channels, side):
    """Four sums per channel of the backward pass of batch norm with ReLU, channels innermost."""
    g, out, x = (normal(images * side * side, channels) for _ in range(3))
    mean, scale = aligned(x.mean(0)), aligned(1 / x.std(0))
    sums = aligned(np.zeros((4, channels)))
    steps = [
        ("greater", (1, 5)), ("multiply", (0, 6)), ("subtract", (2, 3)), ("multiply", (8, 4)),
        ("multiply", (7, 9)), ("multiply", (9, 9)),
    ]  # fmt: skip
    wanted = [Sum(value, total) for value, total in zip((7, 10, 9, 11), sums)]
    pixels = next(n for n in range(max(1, 512 // channels), 0, -1) if len(g) % n == 0)
    rows = [a.reshape(-1, pixels * channels) for a in (g, out, x)]
    wide = [np.tile(a, pixels) for a in (mean, scale)]
    scratch = aligned(np.zeros((4, pixels * channels)))

    def plain():
        slope, y = g * (out > 0), (x - mean) * scale
        for k, value in enumerate((slope, slope * y, y, y * y)):
            np.sum(value, 0, out=sums[k])

    return {
        "loop": lambda: moments_loop(*rows, *wide, scratch, sums),
        "chain": native_run([g, out, x, mean, scale, 0.0], steps, [], wanted),
        "numpy": plain,
    }


CASES = {
    "mask of ReLU, 32,768": (relu_mask, 32768),
    **{f"bias and ReLU, 65,536, {c} channels": (bias_relu, c) for c in (6, 32, 512)},
    "Adam, 32,768": (adam, 32768),
    "Adam, 1,048,576": (adam, 1 << 20),
    "sums of batch norm, (64, 32, 32, 32)": (batch_norm_sums, 64, 32, 32),
    "sums of batch norm, (64, 6, 32, 32)": (batch_norm_sums, 64, 6, 32),
    "sums of batch norm, (64, 3, 32, 32)": (batch_norm_sums, 64, 3, 32),
    "sums of batch norm, (64, 512, 4, 4)": (batch_norm_sums, 64, 512, 4),
}


@pytest.mark.parametrize("way", ["loop", "chain", "numpy"])
@pytest.mark.parametrize("case", CASES)
def bench_chain(benchmark, case, way):
    benchmark.group = case
    make, *sizes = CASES[case]
    go = make(*sizes)[way]
    go()
    benchmark(go)


FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sqrt", "sin")


@pytest.mark.parametrize("name", FUNCTIONS)
def bench_function(benchmark, name):
    x = aligned(np.abs(RNG.standard_normal(32768)))
    benchmark.group = "functions of 32,768"
    benchmark(native_run([x], [(name, (0,))], [(1, aligned(x))]))


def ratios():
    """Print the time of the loop by hand, of the chain and of NumPy: a tenth of runs is faster."""
    for case, (make, *sizes) in CASES.items():
        ways = make(*sizes)
        times = {name: [] for name in ways}
        for _ in range(100):
            for name, go in ways.items():
                begin = time.perf_counter()
                go()
                times[name].append(time.perf_counter() - begin)
        loop, own, plain = (sorted(t)[len(t) // 10] * 1e6 for t in times.values())
        print(
            f"{case:40} loop {loop:8.1f} us, chain {own:8.1f} ({own / loop:.2f} of it), "
            f"NumPy {plain:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    ratios()
