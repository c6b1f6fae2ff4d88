"""An array as the libraries see it."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.spelling import SIZES

name_of = functools.cache(str)  # of a dtype: NumPy spells it anew each time


class View(NamedTuple):
    """Elements in the device's memory; strides count elements, not bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str

    @property
    def turned(self) -> View:
        """The last two axes exchanged: a matrix transposed, without a copy."""
        *batch, rows, columns = self.shape
        *apart, down, along = self.strides
        return self._replace(shape=(*batch, columns, rows), strides=(*apart, along, down))

    def part(self, i: int) -> View:
        """What lies at the i-th place of the first axis."""
        start = self.address + i * self.strides[0] * SIZES[self.dtype]
        return View(start, self.shape[1:], self.strides[1:], self.dtype)


def view(arrays: Arrays, x: Any) -> View:
    size = x.itemsize
    strides = tuple([step // size for step in x.strides])
    return View(arrays.address(x), x.shape, strides, name_of(x.dtype))
