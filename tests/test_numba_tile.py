"""Tiles of products against float64 sums: every form of operands, no write outside."""

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import njit
from tensorgraph_numba.kernels.tile import tile
from tensorgraph_numba.vector import unit, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@njit
def eight_by_two(a, a_at, a_row, a2, b, b_row, c, c_row, n, accumulate):
    tile(8, 2, a, a_at, a_row, 0, 0, a2, b, 0, 0, 0, b_row, c, 0, c_row, 1, 1, n, accumulate)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_tile_inside_a_kernel_multiplies_matrices(dtype, transposed):
    random = np.random.default_rng(0)
    n, columns = 37, 2 * unit().lanes(dtype)
    a = random.standard_normal((8, n)).astype(dtype)
    stored = np.ascontiguousarray(a.T if transposed else a)
    b = random.standard_normal((n, columns + 3)).astype(dtype)
    c = np.full((8, columns + 5), 7, dtype)
    row, step = (1, 8) if transposed else (n, 1)
    expected = a.astype(np.float64) @ b[:, :columns].astype(np.float64)
    bound = 1e-5 if dtype == "float32" else 1e-13
    for accumulate in (0, 1):
        eight_by_two(stored, 0, row, step, b, columns + 3, c, columns + 5, n, accumulate)
        np.testing.assert_allclose(c[:, :columns], expected * (1 + accumulate), bound, 10 * bound)
    assert (c[:, columns:] == 7).all()
