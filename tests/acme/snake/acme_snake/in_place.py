"""A faster kernel for NumPy: one new array instead of four."""

from typing import Any

import numpy


def snake(x: Any, a: Any) -> Any:
    out = numpy.sin(a * x)
    out *= out
    out /= a
    out += x
    return out
