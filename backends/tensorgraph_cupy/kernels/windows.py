"""Convolution as a product of matrices whose rows are windows: for what cuDNN has no plan for, or
where it is not installed; all of it within a captured step too."""

from __future__ import annotations

import math

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import matmul
from tensorgraph_cupy.kernels.launching import THREADS, grid, pack, sized
from tensorgraph_cupy.kernels.matmul import Epilogue
from tensorgraph_cupy.kernels.pool import Windows
from tensorgraph_cupy.kernels.spelling import SIZES
from tensorgraph_cupy.kernels.view import View
from tensorgraph_cupy.lib.convolution import Convolution


def scratch(problem: Convolution) -> int:
    """The bytes that the rows of all windows take."""
    held = "float32" if problem.kind == "x" else problem.dtype  # sums of x are float32
    return _rows(problem) * _row(problem) * problem.groups * SIZES[held]


def launch(
    device: Device,
    problem: Convolution,
    *,
    x: int,
    w: int,
    y: int,
    bias: int = 0,
    scratch: int,
) -> None:
    """Compute the one of x, w and y that ``problem.kind`` names; ``scratch`` is the address of as
    many bytes as the function of that name says."""
    rows = _rows(problem)
    if problem.kind != "x":
        _move(device, problem, "gather_windows", x, scratch, rows * _row(problem) * problem.groups)
    for product, epilogue in _products(problem, w, y, bias, scratch):
        matmul.launch(device, *product, how=problem.arithmetic, epilogue=epilogue)
    if problem.kind == "x":
        pixels = problem.images * math.prod(problem.size)
        _move(device, problem, "sum_windows", scratch, x, pixels * problem.channels)


def _products(
    problem: Convolution, w: int, y: int, bias: int, scratch: int
) -> list[tuple[tuple[View, View, View], Epilogue]]:
    """The products: one, with the groups as its batch, or where there is a bias one for each."""
    groups, row, rows = problem.groups, _row(problem), _rows(problem)
    f = problem.filters // groups
    held = "float32" if problem.kind == "x" else problem.dtype
    windows = View(scratch, (groups, rows, row), (row, groups * row, 1), held)
    filters = View(w, (groups, f, row), (f * row, row, 1), problem.dtype)
    outputs = View(y, (groups, rows, f), (f, groups * f, 1), problem.dtype)
    product = {
        "y": (windows, filters.turned, outputs),
        "x": (outputs, filters, windows),
        "w": (outputs.turned, windows, filters),
    }[problem.kind]
    if problem.epilogue == "none":
        return [(product, Epilogue())]
    return [
        (
            (product[0].part(group), product[1].part(group), product[2].part(group)),
            Epilogue(problem.epilogue, bias + group * f * SIZES[problem.dtype]),
        )
        for group in range(groups)
    ]


def _move(
    device: Device, problem: Convolution, function: str, given: int, out: int, size: int
) -> None:
    before = tuple(first for first, _ in problem.padding)
    macros = Windows(problem.kernel, problem.stride, before, problem.dilation).macros()
    channels = problem.channels // problem.groups
    width = pack(problem.dtype, channels, given, out)
    largest = max(size, _rows(problem) * _row(problem) * problem.groups)
    program, count = sized("windows.cu", problem.dtype, largest, WIDTH=width, **macros)
    spatial = ((*[1] * (3 - len(sizes)), *sizes) for sizes in (problem.size, problem.reach))
    sizes = [n for three in spatial for n in three]
    numbers = [count(n) for n in (*sizes, problem.groups, channels, size // width)]
    blocks = grid(device, size // width)
    device.launch(program, function, blocks, (THREADS,), (given, out, *numbers))


def _rows(problem: Convolution) -> int:
    return problem.images * math.prod(problem.reach)


def _row(problem: Convolution) -> int:
    """What a window sees of one group."""
    return math.prod(problem.kernel) * problem.channels // problem.groups
