"""Matrix products, shared among the threads without BLAS's own threads.

BLAS splits products from a quarter of a million multiplications on, and its threads wait for each
other by spinning: a product of 64x400 and 400x120 took 60 us on one thread, and milliseconds on two
when something else ran on the second core.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tensorgraph import Kernel
from tensorgraph.spec import Shaped
from tensorgraph_numpy.threads import POOL, shards

UNTHREADED = 200_000  # multiplications that BLAS does on one thread of itself
PRODUCTS_PER_SECOND = 3e10


def _supports(x: Shaped, y: Shaped) -> bool:
    return x.ndim >= 2 and y.ndim >= 2 and x.dtype in ("float32", "float64")


def unthreaded(x: Shaped, y: Shaped) -> bool:
    """Whether BLAS does this product on one thread of itself."""
    return x.ndim == y.ndim == 2 and x.size * y.shape[1] <= UNTHREADED


def matmul(x: Any, y: Any) -> Any:
    rows, columns = x.shape[-2], y.shape[-1]
    if x.ndim == y.ndim == 2:
        products = rows * columns * x.shape[1]
        if products <= UNTHREADED:
            return x.dot(y)  # half of the time of matmul, where one side is short
        out = np.empty((rows, columns), x.dtype)
        if rows >= columns:
            pieces = [(x[part], y, out[part]) for part in _slices(rows, products)]
        else:
            pieces = [(x, y[:, part], out[:, part]) for part in _slices(columns, products)]
    else:
        batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        out = np.empty((*batch, rows, columns), x.dtype)
        products = out.size * x.shape[-1]
        x, y = (np.broadcast_to(z, (*batch, *z.shape[-2:])) for z in (x, y))
        pieces = [(x[part], y[part], out[part]) for part in _slices(len(out), products)]
    POOL.run([functools.partial(np.matmul, a, b, out=c) for a, b, c in pieces])
    return out


def product(x: Any, y: Any, *, turned: tuple[bool, bool]) -> Any:
    """``x @ y`` of matrices, of which those that are ``turned`` come transposed."""
    return matmul(x.T if turned[0] else x, y.T if turned[1] else y)


SMALL_PRODUCTS: dict[tuple[bool, bool], Any] = {  # by what is turned: without a wrapper
    (False, False): np.ndarray.dot,
    (False, True): lambda x, y: x.dot(y.T),
    (True, False): lambda x, y: x.T.dot(y),
    (True, True): lambda x, y: x.T.dot(y.T),
}


def _slices(n: int, products: int) -> list[slice]:
    return [slice(p.start, p.stop) for p in shards(n, products / PRODUCTS_PER_SECOND)]


KERNELS = [Kernel("matmul", "shared", matmul, _supports)]
