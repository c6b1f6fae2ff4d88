"""A chain over one space: the kernel around it, and its launch."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy

from tensorgraph_cupy.cuda import complete
from tensorgraph_cupy.device import Argument, Device
from tensorgraph_cupy.kernels.chain import Chain, body, declared, filled
from tensorgraph_cupy.kernels.launching import THREADS, WIDE, grid
from tensorgraph_cupy.kernels.spelling import SIZES

Ints = Sequence[int]


@functools.cache
def elementwise_source(chain: Chain, width: int, count: str) -> str:
    """The kernel ``chain`` of a chain that sums nothing up."""
    last = chain.axes - 1
    place, rest = [], "at"
    for axis in range(last, 0, -1):
        place.append(f"const Count i{axis} = {rest} % n{axis};")
        rest = f"{rest} / n{axis}"
    place.append(f"const Count i0 = {rest};")
    run = f"(a, {', '.join(f'i{axis}' for axis in range(chain.axes))});"
    split = " ".join(place)
    text = f"""{body(chain)}
// A thread takes {width} neighbours at a time; those that are left at the end are taken singly.
KERNEL chain({declared(chain)}, Count size) {{
    {filled(chain)}
    const Count packs = size / {width};
    for (Count i = thread_number(); i < packs; i += thread_count()) {{
        const Count at = i * {width};
        {split}
        run<{width}>{run}
    }}
    for (Count at = packs * {width} + thread_number(); at < size; at += thread_count()) {{
        {split}
        run<1>{run}
    }}
}}
"""
    return complete("chain.cu", f"#define COUNT {count}\n{text}")


def elementwise(device: Device, chain: Chain, sizes: Ints, inputs: Ints, outputs: Ints) -> None:
    """Run a chain over a space of these sizes, on the arrays at these addresses."""
    size = math.prod(sizes)
    if not size:
        return
    width = fitting(chain, sizes, [*inputs, *outputs])
    count = numpy.int32 if size < WIDE else numpy.int64
    program = elementwise_source(chain, width, "int" if size < WIDE else "int64")
    arguments: list[Argument] = [*inputs, *outputs, *[count(n) for n in (*sizes, size)]]
    blocks = grid(device, -(-size // width))
    device.launch(program, "chain", blocks, (THREADS,), arguments)


def fitting(chain: Chain, sizes: Ints, addresses: Ints) -> int:
    """How many neighbours a thread may take: 1 where rows or addresses are not multiples of it."""
    width = chain.width()
    moving = [(x.dtype, x.moves[-1]) for x in chain.inputs]
    moving += [(dtype, True) for _, dtype in chain.outputs]
    apart = [min(16, SIZES[dtype] * width) if moves else 1 for dtype, moves in moving]
    aligned = not any(address % step for address, step in zip(addresses, apart))
    return width if aligned and (len(sizes) == 1 or sizes[-1] % width == 0) else 1
