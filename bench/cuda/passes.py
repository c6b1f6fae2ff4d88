"""Kernels of our own that read arrays once and compute little: pooling, the loss, dropout, chains
of elementwise ops, sums."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import loss, pool, random
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step
from tensorgraph_cupy.kernels.elementwise import elementwise
from tensorgraph_cupy.kernels.reduce import reduce

from bench.cuda.case import Case
from bench.cuda.counts import bytes_of
from bench.cuda.ground import Ground, Trial

Ints = tuple[int, ...]
STORED = ("bfloat16", "float32")
SINGLE = "float32"


def named(shape: Sequence[int], more: str = "") -> str:
    return "x".join(map(str, shape)) + more


def passes(small: bool) -> Iterator[Case]:
    yield from pooled(small)
    yield from lost(small)
    yield from dropped(small)
    yield from chained(small)
    yield from summed(small)


# pooling

POOLS: list[tuple[Ints, int, int, int]] = [  # images, window, stride, padding
    ((256, 64, 112, 112), 3, 2, 1), ((128, 64, 32, 32), 2, 2, 0), ((64, 6, 28, 28), 2, 2, 0),
]  # fmt: skip
TINY_POOLS: list[tuple[Ints, int, int, int]] = [((2, 8, 6, 6), 3, 2, 1)]


def pooled(small: bool) -> Iterator[Case]:
    for number, (shape, *window) in enumerate(TINY_POOLS if small else POOLS):
        k, stride, padding = window
        windows = pool.Windows((k, k), (stride, stride), (padding, padding), (1, 1))
        reach = tuple((n + 2 * padding - k) // stride + 1 for n in shape[2:])
        out = (*shape[:2], *reach)
        text = named(shape, f", {k}x{k}/{stride}")
        for dtype in STORED:
            for name, arrays in (
                ("max_pool", (shape, out)),
                ("max_pool_input", (out, shape, out, shape)),
                ("avg_pool", (shape, out)),
                ("avg_pool_input", (out, shape)),
            ):
                size = bytes_of(*((each, dtype) for each in arrays))
                make = functools.partial(_pooled, name, windows, shape, out, dtype)
                yield Case(name, text, dtype, size, 0, make, first=number == 0)


def _pooled(
    name: str, windows: pool.Windows, shape: Ints, reach: Ints, dtype: str, ground: Ground
) -> Trial:
    backwards = name.endswith("_input")
    x, g = ground.random(shape, dtype), ground.random(reach, dtype)
    out = ground.empty(shape if backwards else reach, dtype)
    given = {"max_pool": [x], "avg_pool": [x], "avg_pool_input": [g]}.get(name, [])
    if name == "max_pool_input":
        maxima = ground.empty(reach, dtype)
        where = [x.address], maxima.address
        pool.pool(ground.device, "max_pool", dtype, windows, *where, shape, reach)
        given = [g, x, maxima]
    addresses = [each.address for each in given]

    def ours(device: Device) -> None:
        pool.pool(device, name, dtype, windows, addresses, out.address, shape, reach)

    holds = (x, g, given)
    if (torch := ground.torch) is None:
        return Trial(ours, None, (out,), holds)
    a, b = ground.tensor(x), ground.tensor(g)
    k, stride, padding, ones = (list(each) for each in windows[:4])
    aten = torch.ops.aten
    with_places = aten.max_pool2d_with_indices
    calls: dict[str, Callable[[], Any]] = {
        "max_pool": lambda: with_places(a, k, stride, padding, ones, False)[0],
        "avg_pool": lambda: aten.avg_pool2d(a, k, stride, padding, False, True),
        "avg_pool_input": lambda: aten.avg_pool2d_backward(
            b, a, k, stride, padding, False, True, None
        ),
    }
    if name == "max_pool_input":
        places = with_places(a, k, stride, padding, ones, False)[1]
        backward = aten.max_pool2d_with_indices_backward
        calls[name] = lambda: backward(b, a, k, stride, padding, ones, False, places)
    return Trial(ours, calls[name], (out,), holds)


# the loss, dropout


def lost(small: bool) -> Iterator[Case]:
    for rows, classes in [(4, 10)] if small else [(128, 10), (256, 1000), (8192, 1000)]:
        for dtype in STORED:
            size = bytes_of(((rows, classes), dtype), ((rows, classes), dtype), ((rows,), "int64"))
            make = functools.partial(_lost, (rows, classes), dtype)
            name = "cross_entropy and its gradient"
            yield Case(name, named((rows, classes)), dtype, size, 0, make, first=rows == 256)


def _lost(sizes: tuple[int, int], dtype: str, ground: Ground) -> Trial:
    x, gradient = ground.random(sizes, dtype), ground.empty(sizes, dtype)
    labels = ground.put(np.random.default_rng(1).integers(0, sizes[1], sizes[0]))
    g, total = ground.put(np.ones(1, np.float32)), ground.empty((1,))
    where: dict[str, Any] = {
        "losses": total.address,
        "g": g.address,
        "gradient": gradient.address,
        "ignore_index": -100,
        "reduction": "mean",
        "workspace": ground.workspace,
    }

    def ours(device: Device) -> None:
        loss.label_loss(device, dtype, sizes, x.address, labels.address, **where)

    outs, holds = (total, gradient), (x, labels, g)
    if (torch := ground.torch) is None:
        return Trial(ours, None, outs, holds)
    scores, named_ = ground.tensor(x).detach().requires_grad_(), ground.tensor(labels)

    def theirs() -> Any:
        found = torch.nn.functional.cross_entropy(scores.float(), named_)
        return found.detach(), torch.autograd.grad(found, scores)[0]

    return Trial(ours, theirs, outs, holds)


def dropped(small: bool) -> Iterator[Case]:
    for shape in [(4, 16)] if small else [(128, 4096), (4096, 16384)]:
        for dtype in STORED:
            size = bytes_of((shape, dtype), (shape, dtype))
            make = functools.partial(_dropped, shape, dtype)
            yield Case("dropout", named(shape), dtype, size, 0, make, first=True)


def _dropped(shape: Ints, dtype: str, ground: Ground) -> Trial:
    """Nothing is compared: PyTorch draws other words."""
    x, out = ground.random(shape, dtype), ground.empty(shape, dtype)
    key = ground.put(np.arange(1, 5, dtype=np.uint32))
    sizes = (math.prod(shape), 1, 1)

    def ours(device: Device) -> None:
        random.drop(device, dtype, x.address, key.address, out.address, sizes, 0.5)

    if (torch := ground.torch) is None:
        return Trial(ours, None, (out,), (x, key))
    a = ground.tensor(x)
    return Trial(ours, lambda: torch.nn.functional.dropout(a, 0.5), (), (x, key, out))


# chains and sums


def chained(small: bool) -> Iterator[Case]:
    for shape in [(8, 16)] if small else [(8192, 256), (802816, 64), (200704, 512)]:
        for dtype in STORED:
            rows, channels = shape
            size = bytes_of(*[(shape, dtype)] * 3, ((channels,), SINGLE))
            make = functools.partial(_chained, shape, dtype)
            text, flops = named(shape), 3 * rows * channels
            yield Case("relu(x + r + bias)", text, dtype, size, flops, make, first=rows > 8192)


def _chained(shape: tuple[int, int], dtype: str, ground: Ground) -> Trial:
    x, r = ground.random(shape, dtype), ground.random(shape, dtype)
    bias, out = ground.random(shape[1:]), ground.empty(shape, dtype)
    whole, channel = Operand(dtype, (True, True)), Operand(SINGLE, (False, True))
    steps = (Step("add", (0, 1), SINGLE), Step("add", (3, 2), SINGLE), Step("relu", (4,), SINGLE))
    chain = Chain((whole, whole, channel), steps, ((5, dtype),))
    given = [x.address, r.address, bias.address]

    def ours(device: Device) -> None:
        elementwise(device, chain, shape, given, [out.address])

    holds = (x, r, bias)
    if ground.torch is None:
        return Trial(ours, None, (out,), holds)
    a, b, c = (ground.tensor(each) for each in holds)
    return Trial(ours, lambda: (a + b + c).relu_(), (out,), holds)


def summed(small: bool) -> Iterator[Case]:
    for shape in [(8, 24)] if small else [(128, 512), (8192, 8192), (802816, 64)]:
        for dtype in STORED:
            for name, kept in (("columns", shape[1:]), ("rows", shape[:1]), ("all", (1,))):
                size = bytes_of((shape, dtype), (kept, SINGLE))
                make = functools.partial(_summed, name, shape, kept, dtype)
                text, flops = named(shape), math.prod(shape)
                first = shape[0] == 8192
                yield Case(f"sum of {name}", text, dtype, size, flops, make, first=first)


def _summed(name: str, shape: tuple[int, int], kept: Ints, dtype: str, ground: Ground) -> Trial:
    """The sum over the rows for each column, over the columns for each row, or of all."""
    x, out = ground.random(shape, dtype), ground.empty(kept)
    sizes = {"columns": (1, *shape), "rows": shape, "all": (1, math.prod(shape))}[name]
    chain = Chain((Operand(dtype, (True,) * len(sizes)),), (), (), (Reduction(0, "sum", SINGLE),))

    def ours(device: Device) -> None:
        results, scales = [out.address], [1.0]
        reduce(device, chain, sizes, [x.address], [], results, scales, ground.workspace)

    if (torch := ground.torch) is None:
        return Trial(ours, None, (out,), (x,))
    a = ground.tensor(x)
    axes = {"columns": 0, "rows": 1, "all": (0, 1)}[name]
    return Trial(ours, lambda: torch.sum(a, axes, dtype=torch.float32), (out,), (x,))
