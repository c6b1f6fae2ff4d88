"""Sums over all elements, or over the rows of a matrix, where these are few: products with ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph.spec import Shaped

MOST = 9000  # elements: from 9216 on BLAS calls its own threads


def _few(x: Shaped) -> bool:
    return 1 < x.size <= MOST and x.dtype in ("float32", "float64")


def _supports_all(x: Shaped, *, axis: tuple[int, ...], keepdims: bool) -> bool:
    return _few(x) and len(axis) == x.ndim and not keepdims


def _supports_rows(x: Shaped, *, shape: tuple[int, ...]) -> bool:
    columns = x.shape[-1:]
    return x.ndim == 2 and x.shape[0] > 1 and _few(x) and shape in (columns, (1, *columns))


def total(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    flat = x.reshape(-1)
    return flat.dot(np.ones(len(flat), x.dtype))


def column_sums(x: Any, *, shape: tuple[int, ...]) -> Any:
    """``np.add.reduce`` takes 3 us for 100 rows of 16, this 1 us."""
    return np.ones(len(x), x.dtype).dot(x).reshape(shape)


KERNELS = [
    Kernel("sum", "product", total, _supports_all),
    Kernel("sum_to", "product", column_sums, _supports_rows),
]
