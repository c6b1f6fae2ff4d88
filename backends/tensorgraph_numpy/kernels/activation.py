"""relu and sigmoid."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph.spec import Shaped, is_floating

FEW = 1 << 12  # elements, for which it does not pay to find memory of their order

_zeros: dict[np.dtype[Any], Any] = {}


def _supports(x: Shaped) -> bool:
    return is_floating(x.dtype)


def zeros_beside(x: Any) -> Any:
    """Zeros of the shape, dtype and memory order of ``x``, to be read only; one 0 where its memory
    has gaps.

    ``np.maximum`` and ``np.minimum`` of two arrays take a third of the time of those of an array
    and a number: they have vector code for the former alone.
    """
    if x.flags.c_contiguous:
        return _kept(x.dtype, x.size)[: x.size].reshape(x.shape)
    span = 1 + sum([(n - 1) * step for n, step in zip(x.shape, x.strides)]) // x.itemsize
    if x.size < FEW or span > 2 * x.size or min(x.strides) < 0:
        return x.dtype.type(0)
    return np.ndarray(x.shape, x.dtype, _kept(x.dtype, span), 0, x.strides)


def _kept(dtype: np.dtype[Any], count: int) -> Any:
    zeros = _zeros.get(dtype)
    if zeros is None or len(zeros) < count:
        zeros = _zeros[dtype] = np.zeros(2 * count, dtype)
    return zeros


def relu(x: Any) -> Any:
    return relu_into(x)


def relu_into(x: Any, out: Any = None) -> Any:
    return np.maximum(x, zeros_beside(x), out=out)


def sigmoid(x: Any) -> Any:
    return sigmoid_into(x)


def sigmoid_into(x: Any, out: Any = None) -> Any:
    return sigmoid_of(x, x.dtype.type(1), np.empty_like(x) if out is None else out)


def sigmoid_of(x: Any, one: Any, out: Any = None) -> Any:
    """``1 / (1 + exp(-x))``, which is 0 where the power overflows: below -88 in float32. ``one`` is
    1, or many of it; ``out`` may be ``x``."""
    with np.errstate(over="ignore"):
        out = np.negative(x, out)
        np.exp(out, out)
        np.add(out, one, out)
        return np.reciprocal(out, out)


KERNELS = [
    Kernel("relu", "zeros", relu, _supports),
    Kernel("sigmoid", "reciprocal", sigmoid, _supports),
]
