"""The same chain over many tensors of one axis in one launch, as for an optimizer's update."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy

from tensorgraph_cupy.cuda import complete
from tensorgraph_cupy.device import Device, Memory
from tensorgraph_cupy.kernels.chain import Chain, body
from tensorgraph_cupy.kernels.elementwise import Ints, fitting
from tensorgraph_cupy.kernels.spelling import TYPES

THREADS = 256
EACH = 16  # packs that a thread of a launch over many tensors takes


@functools.cache
def many_source(chain: Chain, width: int) -> str:
    """The kernel ``chain_many``: one launch for the same chain over many tensors, each of one axis.

    ``tensors`` has a row for each: its size, then the addresses of its inputs and outputs.
    ``blocks`` says of each block which tensor it works on, and on which part of it.
    """
    kinds = [f"const {TYPES[x.dtype][0]}*" for x in chain.inputs]
    kinds += [f"{TYPES[dtype][0]}*" for _, dtype in chain.outputs]
    fields = ", ".join(f"({kind})row[{i}]" for i, kind in enumerate(kinds, 1))
    text = f"""{body(chain)}
KERNEL chain_many(const int64* tensors, const int* blocks) {{
    const int64* row = tensors + (int64)blocks[2 * blockIdx.x] * {len(kinds) + 1};
    const int64 size = row[0], part = (int64){THREADS * EACH * width};
    const Arrays a = {{{fields}, size}};
    const int64 start = blocks[2 * blockIdx.x + 1] * part;
    const int64 end = start + part < size ? start + part : size;
    int64 at = start + threadIdx.x * {width};
    for (; at + {width} <= end; at += blockDim.x * {width}) run<{width}>(a, at);
    if (at < end)
        for (; at < end; ++at) run<1>(a, at);
}}
"""
    return complete("chain_many.cu", f"#define COUNT int64\n{text}")


class Many(NamedTuple):
    """A launch over many tensors, made ready: its tables lie on the device."""

    program: str
    blocks: int
    tables: tuple[Memory, Memory]

    def launch(self, device: Device) -> None:
        if self.blocks:
            arguments = tuple(table.address for table in self.tables)
            size = (self.blocks,)
            device.launch(self.program, "chain_many", size, (THREADS,), arguments)


def many(device: Device, chain: Chain, tensors: Sequence[tuple[int, Ints]]) -> Many:
    """The same chain over tensors of one axis: for each its size, and the addresses of its inputs
    and outputs. This is how an optimizer updates all parameters of a model in one launch."""
    width = chain.width()
    for size, addresses in tensors:
        width = min(width, fitting(chain, (size,), addresses))
    part = THREADS * EACH * width
    blocks = [(i, k) for i, (size, _) in enumerate(tensors) for k in range(-(-size // part))]
    rows = numpy.array([[size, *addresses] for size, addresses in tensors], numpy.int64)
    tables = []
    for table in (rows, numpy.array(blocks, numpy.int32)):
        tables.append(device.allocate(max(1, table.nbytes)))
        device.copy_in(tables[-1].address, table)
    return Many(many_source(chain, width), len(blocks), (tables[0], tables[1]))
