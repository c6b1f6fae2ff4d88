"""Chains over many tensors of one axis in one launch, as for an optimizer's update: the same chain
over each, or others over some."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy

from tensorgraph_cupy.cuda import complete
from tensorgraph_cupy.device import Device, Memory
from tensorgraph_cupy.kernels.chain import HEAD, Chain, members
from tensorgraph_cupy.kernels.elementwise import Ints, fitting
from tensorgraph_cupy.kernels.launching import BLOCKS_EACH, THREADS
from tensorgraph_cupy.kernels.spelling import TYPES

EACH = 16  # packs at most that a thread takes; fewer where all of them would not fill the GPU

Kind = tuple[Chain, int]  # with how many neighbours a thread takes at a time


class Row(NamedTuple):
    """A chain over a tensor of so many elements, and the addresses of its inputs and outputs."""

    chain: Chain
    size: int
    addresses: Ints


@functools.cache
def many_source(kinds: tuple[Kind, ...], each: int) -> str:
    """The kernel ``chain_many``. ``tensors`` has for each tensor its size, then the addresses of
    its inputs and outputs. ``blocks`` says of each block which kind of chain it computes, where in
    that table its tensor is, and on which part of it."""
    parts = "\n".join(_part(i, chain, width, each) for i, (chain, width) in enumerate(kinds))
    case = "        case {0}: return kind{0}::part(row, own[2]);"
    cases = "\n".join(map(case.format, range(len(kinds))))
    text = f"""{HEAD}{parts}
KERNEL chain_many(const int64* tensors, const int* blocks) {{
    const int* own = blocks + 3 * blockIdx.x;
    const int64* row = tensors + own[1];
    switch (own[0]) {{
{cases}
    }}
}}
"""
    return complete("chain_many.cu", f"#define COUNT int64\n{text}")


def _part(number: int, chain: Chain, width: int, each: int) -> str:
    """A kind of chain, over a part of a tensor."""
    kinds = [f"const {TYPES[x.dtype][0]}*" for x in chain.inputs]
    kinds += [f"{TYPES[dtype][0]}*" for _, dtype in chain.outputs]
    fields = ", ".join(f"({kind})row[{i}]" for i, kind in enumerate(kinds, 1))
    return f"""namespace kind{number} {{
{members(chain)}

__device__ __forceinline__ void part(const int64* row, int64 number) {{
    const int64 size = row[0], length = {_length(width, each)};
    const Arrays a = {{{fields}, size}};
    const int64 start = number * length;
    const int64 end = start + length < size ? start + length : size;
    int64 at = start + threadIdx.x * {width};
    for (; at + {width} <= end; at += blockDim.x * {width}) run<{width}>(a, at);
    if (at < end)
        for (; at < end; ++at) run<1>(a, at);
}}
}}  // namespace kind{number}
"""


def _length(width: int, each: int) -> int:
    """The elements of a block's part."""
    return THREADS * each * width


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


def many(device: Device, rows: Sequence[Row]) -> Many:
    """A launch of them all. This is how an optimizer updates the parameters of a model."""
    widths = [fitting(row.chain, (row.size,), row.addresses) for row in rows]
    packs = sum(-(-row.size // width) for row, width in zip(rows, widths, strict=True))
    each = packs // (device.processors * BLOCKS_EACH * THREADS)
    each = min(EACH, 1 << max(0, each - 1).bit_length())  # few texts to compile
    kinds: dict[Kind, int] = {}
    table: list[int] = []
    blocks: list[tuple[int, int, int]] = []
    for row, width in zip(rows, widths, strict=True):
        kind = kinds.setdefault((row.chain, width), len(kinds))
        parts = -(-row.size // _length(width, each))
        blocks += [(kind, len(table), part) for part in range(parts)]
        table += [row.size, *row.addresses]
    tables = []
    for made in (numpy.array(table, numpy.int64), numpy.array(blocks, numpy.int32)):
        held = device.allocate(max(1, made.nbytes))
        device.copy_in(held.address, made)
        tables.append(held._replace(owner=(held.owner, made)))  # it may be copied later than now
    return Many(many_source(tuple(kinds), each), len(blocks), (tables[0], tables[1]))
