"""Tiles of products against float64 sums: every form of operands, no write outside."""

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import njit
from numba_memory import Memory
from tensorgraph_numba import vector
from tensorgraph_numba.kernels.choice import blocks, most_rows, rows_apart, segments
from tensorgraph_numba.kernels.program import Loop, Place, Program, Strides
from tensorgraph_numba.kernels.tile import tile
from tensorgraph_numba.kernels.tile_code import Shape
from tensorgraph_numba.native import run
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


def shapes():
    """Whole and half registers, masked or not, products of matrices and of lanes."""
    lanes = unit().lanes("float32")
    for rows, vectors in ((1, 1), (1, 2), (2, 1), (4, 1), (6, 1), (3, 2), (most_rows(2), 2)):
        for masked in (False, True):
            yield Shape(rows, vectors, lanes, masked)
            yield Shape(rows, vectors, max(2, lanes // 2), masked, True)
    yield Shape(most_rows(1), 1, lanes)
    yield Shape(most_rows(3), 3, lanes, True)


@pytest.mark.parametrize("shape", list(shapes()), ids=str)
@pytest.mark.parametrize("start", ["zeros", "itself", "a row"])
def test_a_tile_of_a_program(shape, start):
    random, memory = np.random.default_rng(1), Memory("float32")
    last = max(1, shape.lanes - 1) if shape.masked else shape.lanes
    columns = (shape.vectors - 1) * shape.lanes + last
    m, inner = shape.rows, columns if shape.lanewise else 1
    counts, times = (2, 3, 5), 4
    a = memory.array(random.standard_normal((times, m, *counts, inner)))
    b = memory.array(random.standard_normal((*counts, columns)))
    row = memory.array(random.standard_normal(columns))
    c = memory.array(random.standard_normal((times, m, columns)), gap=3)
    x, y = a[:, :, ::-1].astype(np.float64), b[::-1].astype(np.float64)  # backwards, both of them
    begin = {"zeros": 0.0, "itself": c.astype(np.float64), "a row": row.astype(np.float64)}[start]
    expected = begin + (x * y).sum((2, 3, 4))
    program = Program("float32", 2, (a, b, c, row))  # 2 turns of 2
    place = Place(
        a[0, 0, -1].ctypes.data, b[-1].ctypes.data, c.ctypes.data,
        {"zeros": 0, "itself": c.ctypes.data, "a row": row.ctypes.data}[start],
    )  # fmt: skip
    accumulates = start == "itself"
    strides = Strides(
        a.strides[1], c.strides[1], c.strides[1] * accumulates,
        (-a.strides[2], *a.strides[3:5]), (-b.strides[0], *b.strides[1:3]),
    )  # fmt: skip
    step = a.strides[0], 0, c.strides[0], c.strides[0] * accumulates
    turn = Place(*(2 * s for s in step))
    program.tile(shape, place, strides, counts, [Loop(2, *step)], last, turn)
    run(program.calls())
    np.testing.assert_allclose(c, expected, 1e-4, 1e-4)
    memory.check()


def test_loops_move_addresses_in_any_nesting():
    memory = Memory("float64")
    c = memory.array(np.full((2, 3, 4, 5), np.nan))
    a, b = memory.array(np.arange(120.0)), memory.array(np.array([1.0]))
    size, s = 8, c.strides
    program = Program("float64", 1, (a, b, c))
    loops = [
        Loop(n, k * size, 0, t)
        for n, k, t in ((3, 20, s[1]), (2, 60, s[0]), (5, 1, s[3]), (4, 5, s[2]))
    ]
    shape = Shape(1, 1, 2, True)
    program.tile(
        shape, Place(*(z.ctypes.data for z in (a, b, c))), Strides(0, 0), (1, 1, 1), loops, 1
    )
    run(program.calls())
    np.testing.assert_array_equal(c.ravel(), a)
    memory.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 2, 3, 8, 10, 17, 33, 84, 120, 1000])
def test_blocks_cover_all_columns_once(columns, dtype):
    for rows in (1, 5, 28, 200):
        cut, _ = blocks(rows, columns, 100, dtype)
        assert [x.first for x in cut] == list(np.cumsum([0, *[x.columns for x in cut]]))[:-1]
        assert sum(x.columns for x in cut) == columns
        for x in cut:
            assert 0 < x.last <= x.lanes <= unit().lanes(dtype)
            assert x.columns == (x.vectors - 1) * x.lanes + x.last


def test_segments_cover_all_rows_in_tiles_that_fit():
    for rows in (1, 7, 29, 100):
        for vectors in (1, 2, 3, 4):
            for most in (3, 1 << 20):
                found = segments(rows, vectors, most)
                assert sum(x.rows * x.tiles for x in found) == rows
                assert found[0].first == 0 and len(found) <= 2
                assert all(x.rows <= min(most, most_rows(vectors)) for x in found)
                if len(found) == 2:
                    assert found[1].first == found[0].rows * found[0].tiles
    assert rows_apart(4096) < rows_apart(2048) < rows_apart(4)


def test_the_unit_is_what_numba_compiles_for(monkeypatch):
    cases = {"+avx512f,+fma": "avx512", "+avx2,+fma,-avx512f": "avx2", "+sse2": "none"}
    for features, name in cases.items():
        monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
        monkeypatch.setattr(vector.platform, "machine", lambda: "x86_64")
        vector.unit.cache_clear()
        assert vector.unit().name == name
        assert (vector.why_not() is None) == (name != "none")
    assert "features ['sse2']" in vector.why_not()
    monkeypatch.undo()
    vector.unit.cache_clear()
