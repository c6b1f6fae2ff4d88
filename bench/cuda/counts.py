"""What kernels and tasks move and compute, counted from shapes, and what is made of a time: shares
of a limit, ratios. All of it in one place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensorgraph_cupy.kernels.spelling import SIZES
from tensorgraph_cupy.lib.convolution import Convolution
from tensorgraph_cupy.plan.tasks import Task

from tensorgraph.program import Value

ALLOWED = {"float32": 3e-4, "tf32": 5e-3, "bfloat16": 2e-2}  # of the largest value


def bytes_of(*arrays: tuple[Sequence[int], str]) -> int:
    """Of arrays of these shapes and dtypes, each of which is read or written once."""
    return sum(math.prod(shape) * SIZES[dtype] for shape, dtype in arrays)


def of_convolution(problem: Convolution) -> tuple[int, int]:
    """Bytes and operations: all three kinds read two of the arrays, write the third, and multiply
    as often."""
    shapes = problem.shapes()
    moved = bytes_of(*((shape, problem.dtype) for shape in shapes.values()))
    if problem.epilogue != "none":
        moved += bytes_of(((problem.filters,), problem.dtype))
    return moved, 2 * math.prod(shapes["y"]) * math.prod(shapes["w"][1:])


def of_product(rows: int, columns: int, inner: int, batch: int, dtype: str) -> tuple[int, int]:
    """Bytes and operations of ``(rows, inner) @ (inner, columns)``, a batch of them."""
    sides = ((batch, rows, inner), (batch, inner, columns), (batch, rows, columns))
    return bytes_of(*((shape, dtype) for shape in sides)), 2 * batch * rows * columns * inner


def of_task(task: Task, plan: Any) -> tuple[int, int]:
    """The bytes that a task of a plan reads, and those that it writes: as many go through the
    memory at least where nothing stays in the cache from one task to the next."""
    numbers = plan.planner.numbers  # which are written into kernels
    return _held([x for x in task.inputs if x not in numbers], plan), _held(task.outputs, plan)


def _held(values: Iterable[Value], plan: Any) -> int:
    """The bytes that values lie in. Two views of the same count once, and so do the elements along
    an axis that is only repeated."""
    layout, places = plan.planner.layout, plan.places
    found = {}
    for x in values:
        seen = layout[x]
        sizes = zip(x.spec.shape, seen.strides, strict=True)
        elements = math.prod(n for n, step in sizes if step)
        found[seen.root, seen.offset, elements] = elements * SIZES[places.dtype(x)]
    return sum(found.values())


def rated(
    row: Mapping[str, Any],
    seconds: float,
    *,
    theirs: float | None = None,
    error: float | None = None,
    limits: Mapping[str, float] = {},
) -> dict[str, Any]:
    """A row with its time and PyTorch's, and what follows from them. ``limits`` are bytes a second,
    as "copy", and operations a second by precision. A result that is wrong, or is no number, has
    neither a ratio nor a share."""
    wrong = error is not None and not error <= ALLOWED[row["precision"]]
    copy, peak = limits.get("copy"), limits.get(row["precision"])
    return {
        **row,
        "seconds": seconds,
        "theirs": theirs,
        "ratio": None if wrong or theirs is None else theirs / seconds,
        "bandwidth_share": None if wrong or not copy else row["bytes"] / seconds / copy,
        "gemm_share": None if wrong or not peak else row["flops"] / seconds / peak,
        "error": error,
        "wrong": wrong,
        "limits": dict(limits),
    }
