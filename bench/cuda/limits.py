"""What this GPU does at best, as measured here: bytes copied, read and written in a second, matrix
products, and what it costs to ask it for something."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import conv, matmul
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step
from tensorgraph_cupy.kernels.elementwise import elementwise
from tensorgraph_cupy.kernels.move import Flat, copy
from tensorgraph_cupy.kernels.reduce import reduce
from tensorgraph_cupy.lib.convolution import Convolution

from bench.cuda.counts import of_product
from bench.cuda.ground import L2, MOST, Ground, Held, Runner, Work, middle
from bench.cuda.process import Row
from bench.cuda.setting import Setting

SIZES = tuple(1 << n for n in (20, 24, 26, 28, 30, 32))  # bytes, those read and those written
COPIED = tuple(1 << n for n in (22, 24, 26, 28, 30))  # likewise, of what kernels are held against
SIDES = {"float32": 4096, "tf32": 8192, "bfloat16": 8192}  # of the matrices
NODES, CALLS = 200, 200
LAST = 2.0  # seconds before the deadline when nothing more is begun
NOTHING = 'extern "C" __global__ void nothing(int n) {}\n'


def run(setting: Setting, note: Callable[[Row], object]) -> None:
    ground = Ground(setting)
    left: list[str] = []
    for name, measure in _all(ground):
        if setting.left() < LAST:
            left.append(name)
            continue
        for row in attempted(ground, {"kind": name}, measure):
            note(row)
    if left:
        note({"left_out": left})


def attempted(
    ground: Ground, row: dict[str, Any], measure: Callable[[], Any]
) -> list[dict[str, Any]]:
    """The rows; where it fails, one that says how. What broke the GPU is raised after that."""
    try:
        found = measure()
    except Exception as error:
        ground.failed(error)
        return [{**row, "failed": f"{type(error).__name__}: {error}".splitlines()[0]}]
    return found if isinstance(found, list) else [found]


def _all(ground: Ground) -> Iterator[tuple[str, Callable[[], Any]]]:
    sizes = [1 << 12, 1 << 13] if ground.small else SIZES
    for size in sizes:
        yield f"copies of {size} bytes", functools.partial(_copies, ground, size)
    for precision in SIDES:
        yield f"products, {precision}", functools.partial(_products, ground, precision)
    yield "launches", functools.partial(_launches, ground)
    yield "nodes of a graph", functools.partial(_nodes, ground)


class Best(NamedTuple):
    """What shares are of: bytes a second that are copied far from the cache, by how many there
    are, and operations a second of products by precision."""

    copies: list[tuple[int, float]]
    products: dict[str, float]

    def of(self, size: int) -> dict[str, float]:
        """With "copy" for so many bytes: a launch takes a while, however few there are."""
        sizes, speeds = zip(*self.copies, strict=True)
        return {"copy": float(np.interp(math.log(size), np.log(sizes), speeds)), **self.products}


def quick(ground: Ground) -> Best:
    found = Best([], {})
    for size in (1 << 12, 1 << 13) if ground.small else COPIED:
        shape = (size // 8,)
        sides = [(ground.random(shape), ground.empty(shape)) for _ in range(ground.sets(size))]
        ways = [[functools.partial(way, *pair) for pair in sides] for way in (_copy, _copy_cuda)]
        readings = ground.interleaved([ground.ours(works) for works in ways])
        found.copies.append((size, size / min(map(middle, readings))))
    for precision in SIDES:
        rows = attempted(ground, {}, functools.partial(_products, ground, precision))
        if speeds := [row["tflops"] * 1e12 for row in rows if "tflops" in row]:
            found.products[precision] = max(speeds)
    return found


def _copy(x: Held, y: Held, device: Device) -> None:
    flat = (Flat(each.address, "float32", (1,)) for each in (x, y))
    copy(device, x.shape, *flat)


def _copy_cuda(x: Held, y: Held, device: Device) -> None:
    device.copy(y.address, x.address, 4 * x.shape[0])


# bandwidth


def _copies(ground: Ground, size: int) -> list[dict[str, Any]]:
    """Own copy, CUDA's, PyTorch's; only reading, only writing."""
    n = size // 8  # float32 elements of either side
    times = max(1, min(MOST, L2 // size))  # in a graph: to launch it takes longer than a small one
    x, y, total = ground.random((n,)), ground.empty((n,)), ground.empty((1,))
    space = Operand("float32", (False, True))
    summed = Chain((space,), (), (), (Reduction(0, "sum", "float32"),))

    def read(device: Device) -> None:
        given, where = [x.address], [total.address]
        reduce(device, summed, (1, n), given, [], where, [1.0], ground.workspace)

    ways: dict[str, tuple[int, Work]] = {
        "own": (8 * n, functools.partial(_copy, x, y)),
        "cuda": (8 * n, functools.partial(_copy_cuda, x, y)),
        "read": (4 * n, read),
        "write": (4 * n, lambda device: device.fill(y.address, 4 * n)),
    }
    runners = {name: (moved, ground.ours([work] * times)) for name, (moved, work) in ways.items()}
    if ground.torch is not None:
        source, target = ground.tensor(x), ground.tensor(y)
        runners["torch"] = 8 * n, ground.theirs([lambda: target.copy_(source)] * times)
    readings = ground.interleaved([runner for _, runner in runners.values()])
    return [
        {
            "kind": "copy" if name in ("own", "cuda", "torch") else name,
            "name": name,
            "bytes": moved,
            "seconds": middle(seconds),
            "gbps": moved / middle(seconds) / 1e9,
        }
        for (name, (moved, _)), seconds in zip(runners.items(), readings, strict=True)
    ]


# products


def _products(ground: Ground, precision: str) -> list[dict[str, Any]]:
    """By cuBLASLt through our layer, and through PyTorch."""
    side = 16 if ground.small else SIDES[precision]
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    x, y = ground.random((side, side), dtype), ground.random((side, side), dtype)
    out = ground.empty((side, side), dtype)
    how = "tf32" if precision == "tf32" else "float32"
    runners = {
        "cuBLASLt": ground.ours(
            [lambda device: matmul.launch(device, x.view, y.view, out.view, how=how)]
        )
    }
    if ground.torch is not None:
        ground.round_as(precision)
        a, b, c = (ground.tensor(held) for held in (x, y, out))
        runners["torch"] = ground.theirs([lambda: ground.torch.matmul(a, b, out=c)])
    moved, flops = of_product(side, side, side, 1, dtype)
    readings = ground.interleaved([*runners.values()])
    return [
        {
            "kind": "product",
            "name": name,
            "precision": precision,
            "side": side,
            "bytes": moved,
            "seconds": middle(seconds),
            "tflops": flops / middle(seconds) / 1e12,
        }
        for name, seconds in zip(runners, readings, strict=True)
    ]


# what it costs to ask


def _launches(ground: Ground) -> list[dict[str, Any]]:
    """Microseconds of the host for a call, while the device has others to do."""
    one = Operand("float32", (True,))
    chain = Chain((one, one), (Step("add", (0, 1), "float32"),), ((2, "float32"),))
    x, y, out = (ground.random((64, 64)) for _ in range(3))
    image, filters = ground.random((1, 8, 8, 8)), ground.random((8, 8, 3, 3))
    made = ground.empty((1, 8, 8, 8))
    one_by_one = ((1, 1), (1, 1))
    problem = Convolution("y", 1, 8, 8, (8, 8), (3, 3), (1, 1), one_by_one, (1, 1))
    problem = problem._replace(arithmetic="tf32")
    space = ground.scratch.address(conv.scratch(ground.device, problem))
    given = {"x": image.address, "w": filters.address, "y": made.address, "scratch": space}
    addresses = [x.address, y.address]
    calls: dict[str, Work] = {
        "an empty kernel": _nothing,
        "a chain": lambda d: elementwise(d, chain, (4096,), addresses, [out.address]),
        "cudaMemcpyAsync": lambda d: d.copy(out.address, x.address, 16384),
        "cudaMemsetAsync": lambda d: d.fill(out.address, 16384),
        "cuBLASLt": lambda d: matmul.launch(d, x.view, y.view, out.view),
        "cuDNN": lambda d: conv.launch(d, problem, **given),
    }
    works: dict[str, Callable[[], object]] = {
        name: functools.partial(call, ground.device) for name, call in calls.items()
    }
    works["a graph of one node"] = ground.ours([_nothing]).replay
    if ground.torch is not None:
        a, b, c = (ground.tensor(held) for held in (x, y, out))
        works["PyTorch: add"] = lambda: ground.torch.add(a, b, out=c)
        works["PyTorch: matmul"] = lambda: ground.torch.matmul(a, b, out=c)
    rows = []
    for name, call in works.items():
        measure = functools.partial(_host, ground, name, call)
        rows += attempted(ground, {"kind": "host", "name": name}, measure)
    return rows


def _host(ground: Ground, name: str, call: Callable[[], object]) -> dict[str, Any]:
    calls, readings = 3 if ground.small else CALLS, []
    call()
    for _ in range(ground.rounds):
        ground.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        readings.append((time.perf_counter() - start) / calls)
    ground.synchronize()
    return {"kind": "host", "name": name, "seconds": middle(readings)}


def _nothing(device: Device) -> None:
    device.launch(NOTHING, "nothing", (1,), (32,), (np.int32(0),))


def _nodes(ground: Ground) -> list[dict[str, Any]]:
    """The device's time for a replay, by how many nodes that do nothing it has, one after the
    other, or half of them on a second stream."""
    second = ground.device.beside()

    def forked(nodes: int) -> Work:
        def work(device: Device) -> None:
            second.wait(device.record())
            for _ in range(nodes // 2):
                _nothing(device)
                _nothing(second)
            device.wait(second.record())

        return work

    def straight(nodes: int) -> Work:
        def work(device: Device) -> None:
            for _ in range(nodes):
                _nothing(device)

        return work

    most = 4 if ground.small else NODES
    graphs: dict[tuple[int, int], Runner] = {
        (streams, nodes): ground.ours([make(nodes)])
        for streams, make in ((1, straight), (2, forked))
        for nodes in (2, most)
    }
    readings = dict(zip(graphs, ground.interleaved([*graphs.values()]), strict=True))
    rows = []
    for streams in (1, 2):
        few, many = (middle(readings[streams, nodes]) for nodes in (2, most))
        each = (many - few) / (most - 2)
        rows += [
            {"kind": "graph", "name": f"replay of 2 nodes, streams: {streams}", "seconds": few},
            {"kind": "graph", "name": f"each further node, streams: {streams}", "seconds": each},
        ]
    return rows
