"""Numbers of the host's, such as a learning rate or the key of random words, written to memory by a
launch that has them as arguments: nothing is copied, and the host need not keep them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy

from tensorgraph_cupy.cuda import complete
from tensorgraph_cupy.device import Argument, Device
from tensorgraph_cupy.kernels.spelling import TYPES

MOST = 16  # numbers of an array, and arrays of a launch: its arguments may take 4 KiB


class Numbers(NamedTuple):
    """What stands for an array: its values, on the host. Two are the same if they are one object,
    as with arrays."""

    values: numpy.ndarray


def write(device: Device, given: Sequence[tuple[int, Numbers]]) -> None:
    """Write each to its address."""
    for start in range(0, len(given), MOST):
        kinds, arguments = [], list[Argument]()
        for address, (values,) in given[start : start + MOST]:
            kinds.append((values.dtype, values.size))
            arguments += [address, *values.reshape(-1)]
        device.launch(numbers_source(tuple(kinds)), "numbers", (1,), (1,), arguments)


@functools.cache
def numbers_source(kinds: tuple[tuple[numpy.dtype, int], ...]) -> str:
    """The kernel ``numbers``: for each array its address and its values, of which there are as many
    as the pair of its dtype and size says."""
    parameters, lines = [], []
    for i, (dtype, count) in enumerate(kinds):
        kind = TYPES[dtype.name][0]
        parameters += [f"{kind}* to{i}", *[f"{kind} x{i}_{j}" for j in range(count)]]
        lines += [f"    to{i}[{j}] = x{i}_{j};" for j in range(count)]
    body = "\n".join(lines)
    text = f'#include "common.cuh"\n\nKERNEL numbers({", ".join(parameters)}) {{\n{body}\n}}\n'
    return complete("numbers.cu", text)
