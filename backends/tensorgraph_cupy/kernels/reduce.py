"""A chain whose values are summed up over an axis, or their max or min taken, in one launch.

The space has three axes, of which the middle one is reduced (``columns.cuh``), or two, of which the
last is (``rows.cuh``); all of an array is a row. So the mean of a channel, the gradient of a bias,
and both sums of batch norm's backward pass with all arithmetic before them are one kernel each.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy

from tensorgraph_cupy.cuda import complete
from tensorgraph_cupy.device import Argument, Device, Memory
from tensorgraph_cupy.kernels.chain import COMBINED, Chain, body, declared, filled, finish
from tensorgraph_cupy.kernels.elementwise import fitting
from tensorgraph_cupy.kernels.launching import THREADS, WIDE

Ints = Sequence[int]
COUNTERS = 4096  # of blocks that share a sum, in the first bytes of a workspace
WORKSPACE = 4 * COUNTERS + (8 << 20)  # bytes
LANES = 32  # threads that stand side by side over the columns
WARP = 32
LONG_ROW = 1024  # elements; a longer row is the work of a block, not of a warp
BLOCKS_EACH = 4  # of a multiprocessor: more parts of a sum would be read again by the last block
STEPS_EACH = 8  # a thread that takes fewer is not worth a part of its own


def new_workspace(device: Device) -> Memory:
    """Where blocks leave their parts of sums. Reductions may share it that run one after the other,
    as those of one stream do."""
    memory = device.allocate(WORKSPACE)
    device.fill(memory.address, 4 * COUNTERS)
    return memory


def reduce(
    device: Device,
    chain: Chain,
    sizes: Ints,
    inputs: Ints,
    outputs: Ints,
    results: Ints,
    scales: Sequence[float],
    workspace: int,
    beside: Ints = (),
) -> None:
    """Run a chain with reductions over a space of two or three axes; each of these is multiplied by
    its scale, such as one over the number of elements for a mean. ``results`` are the addresses of
    what the chain's ending stores, ``beside`` those of what it reads."""
    if not math.prod(sizes[:1]) * math.prod(sizes[2:]):
        return
    by_columns = len(sizes) == 3
    width = fitting(chain, sizes, [*inputs, *outputs])
    if not by_columns and sizes[0] == 1:  # what is left at the end of the only row is taken singly
        width = fitting(chain, sizes[1:], [*inputs, *outputs])
    short = not by_columns and sizes[1] <= LONG_ROW < sizes[0] * sizes[1]
    group = 0 if by_columns else WARP if short else THREADS
    place = _column_blocks if by_columns else _row_blocks
    blocks, block = place(device, sizes, width, group)
    if blocks[1] > 1:
        parts = len(chain.reductions) * blocks[1] * sizes[0] * math.prod(sizes[2:])
        assert blocks[0] <= COUNTERS and 4 * (COUNTERS + parts) <= WORKSPACE
    wide = math.prod(sizes) >= WIDE
    count = numpy.int64 if wide else numpy.int32
    program = reduction_source(chain, width, group, "int64" if wide else "int")
    arguments: list[Argument] = [*inputs, *outputs, *results, *beside]
    arguments += [count(n) for n in sizes]
    arguments += [*map(numpy.float32, scales), workspace + 4 * COUNTERS, workspace]
    device.launch(program, "reduce", blocks, block, arguments)


def _column_blocks(
    device: Device, sizes: Ints, width: int, _: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    outer, rows, columns = sizes
    lanes = min(LANES, 1 << max(0, -(-columns // width) - 1).bit_length())
    tiles = outer * -(-columns // (lanes * width))
    below = THREADS // lanes
    return (tiles, _parts(device, tiles, -(-rows // below))), (lanes, below)


def _row_blocks(
    device: Device, sizes: Ints, width: int, group: int
) -> tuple[tuple[int, int], tuple[int]]:
    blocks = -(-sizes[0] // (THREADS // group))
    steps = -(-sizes[1] // (group * width)) if group == THREADS else 1
    return (blocks, _parts(device, blocks, steps)), (THREADS,)


def _parts(device: Device, blocks: int, steps: int) -> int:
    """Among how many blocks each sum is split, of which a thread of one alone takes so many
    steps."""
    return max(1, min(device.processors * BLOCKS_EACH // blocks, steps // STEPS_EACH))


@functools.cache
def reduction_source(chain: Chain, width: int, group: int, count: str) -> str:
    """The kernel ``reduce``: over columns, or over rows where a ``group`` of threads takes each."""
    combined, firsts = [], []
    for i, reduction in enumerate(chain.reductions):
        kind = COMBINED[reduction.how]
        firsts.append(f"s == {i} ? {kind}::start() : ")
        combined.append(f"s == {i} ? {kind}()(x, y) : ")
    template = f"rows<{width}, {group}>" if group else f"columns<{width}>"
    shared = WARP if group else THREADS * width
    lines = "\n".join(f"    {line}" for line in finish(chain))
    text = f"""{body(chain)}
#define SUMS {len(chain.reductions)}

__device__ __forceinline__ float first(int s) {{ return {"".join(firsts)}0.0f; }}

__device__ __forceinline__ float combine(int s, float x, float y) {{
    return {"".join(combined)}0.0f;
}}

__device__ __forceinline__ void finish(const Arrays& a, Count at, const float (&sums)[SUMS]) {{
{lines}
}}

#include "{"rows" if group else "columns"}.cuh"

KERNEL reduce({declared(chain)}, float* parts, uint32* counters) {{
    __shared__ float shared[{shared}];
    {filled(chain)}
    {template}(a, Workspace{{parts, counters}}, shared);
}}
"""
    return complete("reduce.cu", f"#define COUNT {count}\n{text}")
