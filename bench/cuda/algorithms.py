"""All algorithms that cuBLASLt and cuDNN offer for some problems, to see whether the one that the
heuristic names first is the fastest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import matmul
from tensorgraph_cupy.lib.convolution import Convolution

from bench.cuda.ground import Ground, Work, middle
from bench.cuda.limits import attempted
from bench.cuda.process import Row
from bench.cuda.products import (
    KEY,
    KINDS,
    LARGE,
    LAYERS,
    RESNET18,
    SMALL,
    TINY,
    TINY_SIZES,
    Sizes,
    factors,
)
from bench.cuda.setting import Setting

LAST = 1.5  # seconds before the deadline when nothing more is begun


def run(setting: Setting, note: Callable[[Row], object]) -> None:
    ground = Ground(setting)
    left: list[str] = []
    for shape, measure in problems(ground):
        if setting.left() < LAST:
            left.append(shape)
            continue
        for row in attempted(ground, {"kind": "algorithms", "shape": shape}, measure):
            note(row)
    if left:
        note({"left_out": left})


def problems(ground: Ground) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """The shape of each problem, and what gives its row: the time of every algorithm."""
    layers, sizes = (TINY[:1], TINY_SIZES[1:2]) if ground.small else (KEY[:3], LARGE[:1])
    if not ground.small:
        layers, sizes = [*layers, SMALL[1], RESNET18[2]], [*sizes, LAYERS[0], LAYERS[2]]
    for precision in ("bfloat16", "tf32"):
        for each in sizes:
            yield str(each), functools.partial(_products, ground, each, precision)
        for layer in layers:
            for kind in KINDS:
                problem = layer.problem(kind, precision)
                if not problem.is_product():
                    shape = f"{KINDS[kind]}, {layer}"
                    yield shape, functools.partial(_plans, ground, problem, shape)


def _products(ground: Ground, sizes: Sizes, precision: str) -> dict[str, Any]:
    held = factors(sizes, precision, ground)
    how = "tf32" if precision == "tf32" else "float32"
    views = [held[name].view for name in ("x", "y", "out")]
    library = ground.device.library("cublaslt")
    ((problem, addresses),) = matmul.products(views[0], views[1], views[2], how)
    plan = library.plan(problem)
    works = [
        functools.partial(_by_number, library, plan, addresses, i) for i in range(len(plan.found))
    ]
    return _compared(ground, "cuBLASLt", f"matmul, {sizes}", precision, works, plan.chosen)


def _by_number(
    library: Any, plan: Any, addresses: tuple[int, int, int], number: int, device: Device
) -> None:
    library.run(plan, *addresses, choice=number)


def _plans(ground: Ground, problem: Convolution, shape: str) -> dict[str, Any]:
    held = {name: ground.random(shape, problem.dtype) for name, shape in problem.shapes().items()}
    given = {name: each.address for name, each in held.items()}
    library = ground.device.library("cudnn")
    plans = [library.plan(problem, number) for number in library.candidates(problem)]
    works: list[Work] = [functools.partial(_by_plan, library, plan, given) for plan in plans]
    precision = "tf32" if problem.arithmetic == "tf32" else problem.dtype
    return _compared(ground, "cuDNN", shape, precision, works, 0)


def _by_plan(library: Any, plan: Any, given: dict[str, int], device: Device) -> None:
    library.run(plan, given)


def _compared(
    ground: Ground, library: str, shape: str, precision: str, works: list[Any], taken: int
) -> dict[str, Any]:
    runners = [ground.ours([work]) for work in works]
    times = [middle(readings) for readings in ground.interleaved(runners)]
    best = min(times)
    return {
        "library": library,
        "shape": shape,
        "precision": precision,
        "algorithms": len(times),
        "taken": taken,
        "seconds": times[taken],
        "best": times.index(best),
        "best_over_taken": best / times[taken],
        "all_seconds": times,
    }
