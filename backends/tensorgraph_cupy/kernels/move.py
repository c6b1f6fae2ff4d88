"""Copies between memories of any strides, with a cast: layout changes, slices, flips, pads, parts
of a concatenation, repetition along axes of stride 0.

Where both memories run along the same axis a thread moves 16 bytes of it. Where they run along two
different axes, as from (N, C, H, W) to (N, H, W, C), a block turns a tile of both in shared memory,
so that it reads and writes whole lines.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy

from tensorgraph_cupy.cuda import complete
from tensorgraph_cupy.device import Argument, Device
from tensorgraph_cupy.kernels.launching import THREADS, WIDE, blocks_for
from tensorgraph_cupy.kernels.spelling import SIZES, TYPES, WORDS

Ints = Sequence[int]
TILE = 32


class Flat(NamedTuple):
    """Elements in memory: where the first is, their dtype, and the strides of their axes, counted
    in elements. How many there are along each, ``copy`` is told: both sides have the same."""

    address: int
    dtype: str
    strides: tuple[int, ...]


class Launch(NamedTuple):
    """What of a copy's launch depends on anything but the two addresses."""

    program: str
    blocks: tuple[int, ...]
    block: tuple[int, ...]
    numbers: tuple[Argument, ...]


def copy(device: Device, sizes: Ints, x: Flat, out: Flat) -> None:
    """Copy the elements of ``x`` to the places of ``out``, which are as many, and cast them."""
    if not math.prod(sizes):
        return
    aligned = x.address % 16, out.address % 16
    ready = _ready(device.processors, tuple(sizes), x[1:], out[1:], aligned)
    program, blocks, block, numbers = ready
    device.launch(program, "move", blocks, block, (x.address, out.address, *numbers))


@functools.lru_cache(4096)  # a step copies its arguments each time
def _ready(
    processors: int,
    sizes: tuple[int, ...],
    x: tuple[str, tuple[int, ...]],
    out: tuple[str, tuple[int, ...]],
    aligned: tuple[int, int],
) -> Launch:
    """``x`` and ``out``: dtype and strides; ``aligned``: their addresses, counted from the last
    multiple of 16."""
    axes = _joined(sizes, x[1], out[1])
    wide = max(sum(abs(step) * (n - 1) for n, *steps in axes for step in steps), 1) >= WIDE
    wide = wide or math.prod(sizes) >= WIDE
    count = numpy.int64 if wide else numpy.int32
    dtypes = _moved(x[0], out[0])
    turned = [axis for axis in axes[:-1] if axis[1] == 1]
    tiled = bool(turned) and axes[-1][2] == 1
    if tiled:  # the axis along which x runs comes before the last, along which out runs
        axes = [*[axis for axis in axes[:-1] if axis != turned[0]], turned[0], axes[-1]]
        tiles = [-(-axes[i][0] // TILE) for i in (-2, -1)]
        blocks = (math.prod(a[0] for a in axes[:-2]) * math.prod(tiles),)
        block: tuple[int, ...] = (TILE, THREADS // TILE)
        width = 1
    else:
        width = _width(axes, *aligned, dtypes)
        blocks, block = blocks_for(processors, math.prod(sizes) // width), (THREADS,)
    program = _source(dtypes, len(axes), width, tiled, "int64" if wide else "int")
    return Launch(program, blocks, block, tuple(count(n) for axis in axes for n in axis))


def strides_of(shape: Ints, order: Ints | None = None) -> tuple[int, ...]:
    """The strides of an array without gaps whose memory has its axes in this order, such as
    (0, 2, 3, 1) for channels last."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def _joined(sizes: Ints, of_x: Ints, of_out: Ints) -> list[tuple[int, int, int]]:
    """(size, stride in x, stride in out) of the axes, in the order of out's memory; those of size 1
    are left out, and neighbours joined that are one axis in both."""
    found = [axis for axis in zip(sizes, of_x, of_out, strict=True) if axis[0] > 1]
    found.sort(key=lambda axis: -abs(axis[2]))
    axes: list[tuple[int, int, int]] = []
    for n, x, out in found:
        if axes and axes[-1][1] == n * x and axes[-1][2] == n * out:
            axes[-1] = (axes[-1][0] * n, x, out)
        else:
            axes.append((n, x, out))
    return axes or [(1, 1, 1)]


def _moved(given: str, wanted: str) -> tuple[str, str]:
    """The types to read and to write. Without a cast bits are moved, whatever they mean."""
    if given == wanted:
        return WORDS[SIZES[given]], WORDS[SIZES[given]]
    return given, wanted


def _width(axes: Sequence[tuple[int, int, int]], x: int, out: int, dtypes: tuple[str, str]) -> int:
    """How many neighbours a thread may take: as many as all rows and addresses are multiples of."""
    sizes = [SIZES[dtype] for dtype in dtypes]
    width = 16 // max(sizes)
    numbers = [axes[-1][0], *[step for axis in axes[:-1] for step in axis[1:]]]
    apart = [min(16, size * width) for size in sizes]
    fits = axes[-1][1:] == (1, 1) and not any(number % width for number in numbers)
    return width if fits and x % apart[0] == 0 and out % apart[1] == 0 else 1


@functools.cache
def _source(dtypes: tuple[str, str], axes: int, width: int, tiled: bool, count: str) -> str:
    """The kernel ``move`` for so many axes, each with a size and two strides."""
    given, wanted = (TYPES[dtype][0] for dtype in dtypes)
    converted = "({0}) != 0" if dtypes[1] == "bool" else "{0}"
    numbers = ", ".join(f"Count n{i}, Count x{i}, Count y{i}" for i in range(axes))
    split = [
        f"i{i} = rest % n{i}; rest /= n{i}; from += i{i} * x{i}; to += i{i} * y{i};"
        for i in reversed(range(axes - 2 if tiled else axes))
    ]
    digits = "\n        ".join(f"const Count {line}" for line in split)
    size = " * ".join(f"n{i}" for i in range(axes))
    row, last = axes - 2, axes - 1
    if tiled:
        body = f"""
    // Axis {row} is that along which x runs, and axis {last} that along which the copy does.
    __shared__ {given} tile[{TILE}][{TILE + 1}];  // one more, so that a column lies in all banks
    const Count across = (n{last} + {TILE - 1}) / {TILE}, down = (n{row} + {TILE - 1}) / {TILE};
    Count rest = blockIdx.x, from = 0, to = 0;
    const Count first = rest % across * {TILE}, second = rest / across % down * {TILE};
    rest /= across * down;
    {{
        {digits}
    }}
    const Count place = second + threadIdx.x;
    for (int j = threadIdx.y; j < {TILE}; j += blockDim.y)
        if (first + j < n{last} && place < n{row})
            tile[j][threadIdx.x] = x[from + place * x{row} + (first + j) * x{last}];
    __syncthreads();
    const Count column = first + threadIdx.x;
    for (int j = threadIdx.y; j < {TILE}; j += blockDim.y)
        if (column < n{last} && second + j < n{row}) {{
            const auto found = value(tile[threadIdx.x][j]);
            store(y[to + (second + j) * y{row} + column * y{last}], {converted.format("found")});
        }}
"""
    else:
        body = f"""
    const Count size = {size};
    for (Count i = thread_number(); i < size / {width}; i += thread_count()) {{
        Count rest = i * {width}, from = 0, to = 0;
        {digits}
        const auto found = load_items<{width}>(x + from);
        Items<{wanted}, {width}> copied;
        #pragma unroll
        for (int j = 0; j < {width}; ++j)
            store(copied.items[j], {converted.format("value(found.items[j])")});
        store_items(y + to, copied);
    }}
"""
    parameters = f"const {given}* __restrict__ x, {wanted}* __restrict__ y, {numbers}"
    text = f'#include "common.cuh"\n\nKERNEL move({parameters}) {{{body}}}\n'
    return complete("move.cu", f"#define COUNT {count}\n{text}")
