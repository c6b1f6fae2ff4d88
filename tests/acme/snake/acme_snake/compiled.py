"""A kernel that Numba compiles: one pass over memory, and no array in between."""

import math
from typing import Any

import numba


@numba.vectorize(["float32(float32, float32)", "float64(float64, float64)"])
def _each(x, a):  # type: ignore[no-untyped-def]
    wave = math.sin(a * x)
    return x + wave * wave / a


def snake(x: Any, a: Any) -> Any:
    return _each(x, a)
