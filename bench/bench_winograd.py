"""3x3 convolutions by Winograd's kernels beside PyTorch's, one thread each.

    python bench/bench_winograd.py [--rounds 3] [--dtype float32] [--small | --errors]

Milliseconds of the forward convolution, of the input's gradient and of the weights', the best of
several runs and rounds. Each library runs in a process of its own, and they take turns; PyTorch's
figure is that of the better layout, NCHW or channels last, for each. `--small`: layers with few
channels or outputs, beside a direct convolution of 100 GFLOP/s. `--errors`: the largest errors
against the largest value of PyTorch's result in float64; "direct" are the kernels of a plan with
`precision="strict"`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

KINDS = ("forward", "input gradient", "weight gradient")
LAYERS = [
    (32, 64, 64, 32),
    (32, 128, 128, 16),
    (32, 256, 256, 8),
    (32, 512, 512, 4),
    (64, 32, 32, 32),
    (64, 32, 64, 16),
    (64, 64, 64, 16),
    (32, 48, 80, 15),
    (8, 64, 64, 56),
    (32, 512, 512, 7),
]  # samples, channels, filters, height and width
SMALL = [
    (32, 3, 64, 32), (32, 8, 8, 32), (32, 8, 32, 32), (32, 16, 8, 32), (32, 12, 12, 32),
    (32, 16, 16, 32), (32, 24, 24, 32), (64, 32, 32, 7), (64, 32, 32, 5), (64, 32, 32, 3),
    (128, 64, 64, 1), (1, 512, 512, 7), (2, 512, 512, 7), (4, 512, 512, 7),
]  # fmt: skip


def problem(samples, channels, filters, size):
    """Images, weights and a gradient of the output."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((samples, channels, size, size), dtype="float32")
    w = rng.standard_normal((filters, channels, 3, 3), dtype="float32") / (9 * channels) ** 0.5
    return x, w.astype("float32"), rng.standard_normal((samples, filters, size, size), "float32")


def best(function):
    """The shortest of some runs, in milliseconds: at least 5, and for a fifth of a second."""
    function()
    shortest, end, runs = float("inf"), time.perf_counter() + 0.2, 0
    while runs < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        function()
        shortest, runs = min(shortest, time.perf_counter() - begin), runs + 1
    return shortest * 1e3


def memory(count, dtype):
    """Memory that begins at a cache line."""
    whole = np.zeros(count + 128, dtype)
    return whole[-whole.ctypes.data % 64 // whole.itemsize :][:count]


def placed(x, order, dtype):
    """A copy whose axes lie in memory in this order."""
    inner = np.transpose(x, order)
    out = memory(x.size, dtype).reshape(inner.shape)
    out[...] = inner
    return out.transpose(np.argsort(order))


def kernels(layer, dtype, **options):
    """For each kind a function that computes it, the result, and the calls, which must live on."""
    from tensorgraph_numba.kernels import winograd
    from tensorgraph_numba.native import driver, table

    samples, channels, filters, size = layer
    x, w, g = problem(*layer)
    given = winograd.Layer(samples, channels, filters, size, size, dtype=dtype)
    x, y, g, dx = (placed(a, (0, 2, 3, 1), dtype) for a in (x, g * 0, g, x * 0))
    w, dw = (placed(a, (2, 3, 1, 0), dtype) for a in (w, w * 0))
    makers = (winograd.convolution, winograd.input_gradient, winograd.weight_gradient)
    for maker, arrays, out in zip(makers, ((x, w, y), (g, w, dx), (x, dw, g)), (y, dx, dw)):
        plan = maker(given, **options)
        shared = memory(plan.shared_size, dtype)

        def scratch(count):
            return memory(count + 64, dtype)

        calls = [
            *plan.first(*arrays, shared, scratch=scratch),
            *plan.second(*arrays, shared, scratch=scratch),
        ]
        yield driver(table(calls), 0, 1), out, calls


def torch_functions(layer, dtype, last):
    """For each kind a function that computes it."""
    import torch

    torch.set_num_threads(1)
    x, w, g = (torch.from_numpy(a).to(getattr(torch, dtype)) for a in problem(*layer))
    if last:
        x, w, g = (a.to(memory_format=torch.channels_last) for a in (x, w, g))
    backward = torch.ops.aten.convolution_backward

    def gradient(*mask):
        where = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1, [*mask, False])
        return backward(g, x, w, None, *where)

    yield lambda: torch.nn.functional.conv2d(x, w, padding=1)
    yield lambda: gradient(True, False)[0]
    yield lambda: gradient(False, True)[1]


def measure(side, layers, dtype):
    """What a child process prints: three times for each layer."""
    out = []
    for layer in layers:
        if side == "ours":
            out.append([best(run) for run, _, _ in kernels(layer, dtype)])
        else:
            pair = [[best(f) for f in torch_functions(layer, dtype, last)] for last in (0, 1)]
            out.append([min(times) for times in zip(*pair)])
    return out


def child(side, options):
    """The figures of one side, from a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--dtype", options.dtype]
    done = subprocess.run(
        command + ["--small"] * options.small, capture_output=True, text=True, check=True
    )
    return np.array(json.loads(done.stdout))


def direct(layer, dtype):
    """The three results of a compiled step that has no tiles."""
    import tensorgraph as tg

    @tg.compile
    def step(x, w, g):
        y = tg.ops.conv(x, w, padding=1)
        return [y.detach(), *tg.grad(y, [x, w], g)]

    os.environ["TENSORGRAPH_JIT"] = "wait"
    x, w, g = (a.astype(dtype) for a in problem(*layer))
    with tg.use(precision="strict"):
        leaves = (tg.tensor(a, requires_grad=True) for a in (x, w))
        return [result.numpy() for result in step(*leaves, tg.tensor(g))]


def errors(dtype):
    """Print the largest errors of both tiles, of direct sums and of PyTorch."""
    for layer in LAYERS:
        want = [f().numpy() for f in torch_functions(layer, "float64", 0)]

        def largest(results, want=want):
            pairs = zip(results, want)
            return "  ".join(f"{np.abs(a - b).max() / np.abs(b).max():.1e}" for a, b in pairs)

        print(
            f"{layer!s:22} PyTorch ", largest(f().numpy() for f in torch_functions(layer, dtype, 0))
        )
        for outputs in (4, 2):
            results = []
            for run, out, _ in kernels(layer, dtype, outputs=outputs):
                run()
                results.append(out)
            print(f"{'':22} F({outputs}x{outputs})  ", largest(results))
        print(f"{'':22} direct  ", largest(direct(layer, dtype)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--side", choices=("ours", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    layers = SMALL if options.small else LAYERS
    if options.side:
        print(json.dumps(measure(options.side, layers, options.dtype)))
        return
    if options.errors:
        errors(options.dtype)
        return
    rounds = [[child(side, options) for side in ("ours", "torch")] for _ in range(options.rounds)]
    ours, torch = (np.min([r[i] for r in rounds], 0) for i in (0, 1))
    print(f"{'':22}" + "".join(f"{kind:>28}" for kind in KINDS))
    print(f"{'N, C, K, H':22}" + f"{'ours':>10}{'PyTorch':>10}{'ratio':>8}" * 3)
    for layer, a, b in zip(layers, ours, torch):
        cells = "".join(f"{m:10.2f}{t:10.2f}{t / m:8.2f}" for m, t in zip(a, b))
        n, c, k, h = layer
        direct = f"   direct {n * c * k * h * h * 18 / 1e8:.2f}" if options.small else ""
        print(f"{layer!s:22}{cells}{direct}", flush=True)


if __name__ == "__main__":
    main()
