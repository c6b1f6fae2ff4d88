"""Sums over the rows of small matrices, as products with ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph.spec import Shaped

MOST = 9000  # elements: from 9216 on BLAS calls its own threads


def _supports(x: Shaped, *, shape: tuple[int, ...]) -> bool:
    columns = x.shape[-1:]
    return (
        x.ndim == 2
        and 0 < x.size <= MOST
        and x.dtype in ("float32", "float64")
        and shape in (columns, (1, *columns))
        and x.shape[0] > 1
    )


def column_sums(x: Any, *, shape: tuple[int, ...]) -> Any:
    """``np.add.reduce`` takes 3 us for 100 rows of 16, this 1 us."""
    return np.ones(len(x), x.dtype).dot(x).reshape(shape)


KERNELS = [Kernel("sum_to", "product", column_sums, _supports)]
