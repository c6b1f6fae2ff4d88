"""A faster kernel for NumPy: one new array instead of four."""

from typing import Any

import numpy


def snake_in_place(x: Any, *, a: float) -> Any:
    out = numpy.sin(a * x)
    out *= out
    out /= a
    out += x
    return out
