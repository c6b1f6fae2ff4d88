"""Matrix products of the Numba kernels against float64, in every layout, with no write outside."""

import numpy as np
import pytest
from numba_memory import Memory

pytest.importorskip("numba")

from tensorgraph_numba.kernels.matmul import matmul
from tensorgraph_numba.native import run
from tensorgraph_numba.vector import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SIZES = [  # m, k, n
    (1, 1, 1), (3, 0, 4), (5, 3, 1), (1, 7, 5), (2, 100, 16), (100, 1, 16), (33, 17, 33),
    (3, 130, 50), (50, 75, 3), (64, 84, 10), (17, 65, 40), (31, 5, 100), (29, 600, 70),
    (2, 33, 260),
]  # fmt: skip


def normal(memory, *shape, gap=0):
    return memory.array(np.random.default_rng(sum(shape)).standard_normal(shape), gap=gap)


def empty(memory, *shape, gap=0):
    return memory.array(np.full(shape, np.nan), gap=gap)


def operand(memory, rows, columns, layout):
    """A matrix: rows in order, columns in order (a transposed view), or neither."""
    if layout == "rows":
        return normal(memory, rows, columns, gap=3)
    if layout == "columns":
        return normal(memory, columns, rows, gap=5).T
    return normal(memory, rows, columns, 2)[..., 0]


def close(out, expected, dtype):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(out, expected, 0, scale * (1e-5 if dtype == "float32" else 1e-13))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "layouts", ["rows rows", "columns rows", "rows columns", "neither neither"]
)
@pytest.mark.parametrize("m,k,n", SIZES)
def test_matrix_products(m, k, n, layouts, dtype):
    memory = Memory(dtype)
    of_x, of_y = layouts.split()
    x, y = operand(memory, m, k, of_x), operand(memory, k, n, of_y)
    expected = x.astype(np.float64) @ y.astype(np.float64)
    out = empty(memory, m, n, gap=2)
    run(matmul(x, y, out, scratch=memory.scratch))
    close(out, expected, dtype)
    run(matmul(x, y, out, accumulate=True, scratch=memory.scratch))
    close(out, 2 * expected, dtype)
    memory.check()


@pytest.mark.parametrize("m,k,n", [(7, 2100, 40), (180, 1200, 300)])
def test_long_sums_and_packed_panels(m, k, n):
    memory = Memory("float32")
    for layout in ("rows", "columns"):
        x, y = operand(memory, m, k, "rows"), operand(memory, k, n, layout)
        out = empty(memory, m, n)
        run(matmul(x, y, out, scratch=memory.scratch))
        close(out, x.astype(np.float64) @ y.astype(np.float64), "float32")
    memory.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "of_x,of_y",
    [
        ((4, 5, 6), (4, 6, 7)),
        ((4, 5, 6), (6, 7)),
        ((5, 6), (3, 6, 7)),
        ((2, 3, 5, 6), (3, 6, 7)),
        ((2, 1, 5, 6), (1, 3, 6, 7)),
        ((6,), (6, 7)),
        ((5, 6), (6,)),
        ((40,), (40,)),
        ((3, 5, 6), (6,)),
        ((6,), (3, 6, 7)),
        ((3, 1, 80), (3, 80, 50)),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_batches_and_vectors(of_x, of_y, swapped, dtype):
    memory = Memory(dtype)
    x = normal(memory, *of_x)
    turned = swapped and len(of_y) > 1
    y = (
        normal(memory, *of_y[:-2], of_y[-1], of_y[-2]).swapaxes(-1, -2)
        if turned
        else normal(memory, *of_y)
    )
    expected = np.matmul(x.astype(np.float64), y.astype(np.float64))
    out = empty(memory, *(expected.shape or (1,))).reshape(expected.shape)
    run(matmul(x, y, out, scratch=memory.scratch))
    close(out, expected, dtype)
    memory.check()


def test_a_batch_with_transposed_weights_and_gaps():
    memory = Memory("float32")
    x, w = normal(memory, 3, 20, 50, gap=1), normal(memory, 90, 50)
    out = empty(memory, 3, 20, 90, gap=4)
    run(matmul(x, w.T, out, scratch=memory.scratch))
    close(out, x.astype(np.float64) @ w.T.astype(np.float64), "float32")
    memory.check()


def test_what_does_not_fit_is_said():
    memory = Memory("float32")
    x, y = normal(memory, 4, 5), normal(memory, 5, 6)
    with pytest.raises(ValueError, match=r"float32\[4, 5\], float32\[5, 6\], float32\[4, 7\]"):
        matmul(x, y, empty(memory, 4, 7), scratch=memory.scratch)
    with pytest.raises(ValueError, match="rows of out must be contiguous, and its strides are"):
        matmul(x, y, empty(memory, 6, 4).T, scratch=memory.scratch)
    with pytest.raises(ValueError, match="float64"):
        matmul(x, y.astype(np.float64), empty(memory, 4, 6), scratch=memory.scratch)
