"""Where the values of a plan lie: in tensors that are lent to it, in arrays of the whole batch, and
in the few hundred KiB that one piece of the batch needs at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorgraph.program import Value
from tensorgraph.tensor import Tensor
from tensorgraph_numba.plan import guards
from tensorgraph_numba.plan.orders import Order, empty

ALIGNMENT = 64
SCRATCH = 1 << 20  # elements that are set aside at first


class Loan:
    """A tensor's values in an array that plans write in place. The tensor has them copied where
    somebody else reads it."""

    def __init__(self, tensor: Tensor, order: Order | None) -> None:
        self.tensor = tensor
        self.order = order
        self.array = empty(tensor.shape, order, tensor.dtype)

    def copy(self) -> Any:
        return self.array.copy()

    def renew(self) -> None:
        """Take the tensor's values, which are in other hands or were replaced."""
        self.array[...] = self.tensor.data
        self.tensor.lend(self)


def loan(tensor: Tensor, order: Order | None) -> Loan:
    """The loan of a tensor: the one that it has already, if its order is the one wanted."""
    held = tensor.lender
    return held if isinstance(held, Loan) and held.order == order else Loan(tensor, order)


def aligned(size: int, dtype: Any) -> Any:
    """A new 1-D array that begins at a line of the cache. Its memory is taken when it is used."""
    itemsize = np.dtype(dtype).itemsize
    if guards.enabled():
        return guards.guarded(size * itemsize).view(dtype)
    raw = np.empty(size * itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * itemsize].view(dtype)


class Scratch:
    """A thread's memory for the time of one task."""

    def __init__(self) -> None:
        self.blocks: dict[str, Any] = {}
        self.kept: list[Any] = []  # all of them: calls know the addresses

    def __call__(self, dtype: str) -> Callable[[int], Any]:
        """What hands out disjoint arrays, from the beginning again for each task."""
        used = 0

        def take(count: int) -> Any:
            nonlocal used
            begin, used = used, used + -(-(count + ALIGNMENT) // ALIGNMENT) * ALIGNMENT
            block = self.blocks.get(dtype)
            if block is None or used > block.size:
                block = self.blocks[dtype] = aligned(max(SCRATCH, 2 * used), dtype)
                self.kept.append(block)
            return block[begin:used]

        return take


class Interval:
    """From when to when a value is needed, and how much memory it takes."""

    def __init__(self, value: Value, size: int, first: int, last: int) -> None:
        self.value, self.size, self.first, self.last = value, size, first, last
        self.offset = 0


def packed(intervals: Sequence[Interval]) -> int:
    """Give intervals that overlap in time different offsets; the size of the whole.

    First fit, those that begin first before the others.
    """
    placed: list[Interval] = []
    total = 0
    for x in sorted(intervals, key=lambda x: (x.first, -x.size)):
        x.size = -(-x.size // ALIGNMENT) * ALIGNMENT
        busy = sorted(
            (y.offset, y.offset + y.size)
            for y in placed
            if y.first <= x.last and x.first <= y.last and y.size
        )
        offset = 0
        for begin, end in busy:
            if offset + x.size <= begin:
                break
            offset = max(offset, end)
        x.offset = offset
        total = max(total, offset + x.size)
        placed.append(x)
    return total


def laid(memory: Any, offset: int, shape: Sequence[int], order: Order | None, dtype: str) -> Any:
    """An array of this shape and order in a part of memory (bytes)."""
    size = int(np.prod(shape, dtype=np.int64))
    flat = memory[offset : offset + size * np.dtype(dtype).itemsize].view(dtype)
    if order is None:
        return flat.reshape(shape)
    return flat.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
