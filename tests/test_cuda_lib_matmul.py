"""Matrix products on cuBLASLt without a GPU: its descriptors, read by NumPy, give the product.

What is tested are addresses, strides, transpositions, batches and epilogues; that the real library
has algorithms for them, and how they round, only a GPU shows.
"""

import itertools

import numpy as np
import pytest
from cublaslt_double import RealDescriptors
from cuda_libraries import opened
from cuda_memory import from_bfloat16, memory, to_bfloat16
from emulated_device import EmulatedDevice
from op_cases import ALL
from tensorgraph_cupy.kernels import matmul
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.kernels.matmul import Epilogue, launch
from tensorgraph_cupy.kernels.view import View, view
from tensorgraph_cupy.lib import loading
from tensorgraph_cupy.lib.cublaslt import Cublaslt, mask_bytes

import tensorgraph as tg


@pytest.fixture(params=["double", "real descriptors"])
def device(request):
    if request.param == "double":
        return EmulatedDevice(opened())
    try:
        library = loading.cublaslt()
    except loading.MissingError:
        pytest.skip("cuBLASLt (the package nvidia-cublas) is not installed: its own descriptors")
    return EmulatedDevice({"cublaslt": lambda d: Cublaslt(RealDescriptors(d, library), d)})


@pytest.fixture
def arrays(device):
    return Arrays(np, device)


def draw(*shape, dtype="float32"):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def close(got, want, tolerance=1e-6):
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, atol=tolerance * np.abs(want).max(initial=1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [c for c in ALL if c.op == "matmul"], ids=str)
def test_matmul_of_the_op_suite(arrays, case, dtype):
    x, y = (z.astype(dtype) for z in case.inputs)
    if matmul.supports(tg.Spec(x.shape, dtype), tg.Spec(y.shape, dtype)):
        got = matmul.matmul(arrays, x, y)
        assert got.dtype == dtype
        close(got, case.oracle(x, y), 1e-6 if dtype == "float32" else 1e-13)


LAYOUTS = {  # a matrix of 5 rows and 7 columns, as memory may hold it
    "rows": lambda: draw(5, 7),
    "columns": lambda: draw(7, 5).T,
    "rows apart": lambda: draw(5, 12)[:, 2:9],
    "columns apart": lambda: draw(7, 9)[:, 1:6].T,
    "every second element": lambda: draw(5, 14)[:, ::2],
    "backwards": lambda: draw(5, 7)[::-1],
    "broadcast": lambda: np.broadcast_to(draw(1, 7), (5, 7)),
    "one row": lambda: draw(9, 7)[3:4],
    "one column": lambda: draw(5, 9)[:, 3:4],
}


@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("second", LAYOUTS)
def test_every_layout(arrays, first, second):
    x, y = LAYOUTS[first](), LAYOUTS[second]()
    y = y.T if y.shape[1] == x.shape[1] else y[: x.shape[1], :][[0] * x.shape[1]]
    close(matmul.matmul(arrays, x, y), x @ y)


BATCHES = [
    ((2, 3, 4, 5), (5, 6), None, 1),  # one tall matrix
    ((2, 3, 4, 5), (2, 3, 5, 6), None, 1),
    ((4, 5), (2, 3, 5, 6), None, 1),
    ((3, 4, 5), (2, 1, 5, 6), None, 2),
    ((2, 1, 3, 4, 5), (1, 7, 3, 5, 6), None, 14),
    ((2, 3, 4, 5), (5, 6), (1, 0, 2, 3), 2),  # a batch in another order is no tall matrix
    ((2, 3, 4, 5), (5, 6), (0, 1, 3, 2), 1),
    ((1, 1, 4, 5), (1, 5, 6), None, 1),
]


@pytest.mark.parametrize(("first", "second", "order", "calls"), BATCHES, ids=str)
def test_batches_become_few_products(device, arrays, first, second, order, calls):
    x, y = draw(*first), draw(*second)
    if order:
        x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    close(matmul.matmul(arrays, x, y), x @ y)
    out = np.empty((x @ y).shape, np.float32)
    views = [view(arrays, z) for z in (x, y, out)]
    assert len(list(matmul.products(*views, "float32"))) == calls


def test_out_may_be_part_of_something_larger(device, arrays):
    x, y, whole = draw(4, 5), draw(5, 6), draw(4, 10)
    want = whole.copy()
    want[:, 3:9] = x @ y
    out = view(arrays, whole[:, 3:9])
    launch(device, view(arrays, x), view(arrays, y), out)
    close(whole, want)
    with pytest.raises(ValueError, match="the rows of out lie apart"):
        launch(device, view(arrays, x), view(arrays, y), view(arrays, draw(6, 4).T))


def rounded(x):
    return from_bfloat16(to_bfloat16(x))


@pytest.mark.parametrize("out_dtype", ["float32", "bfloat16"])
def test_bfloat16(device, out_dtype):
    x, y = rounded(draw(4, 8)), rounded(draw(8, 6))
    held = [np.ascontiguousarray(to_bfloat16(z)) for z in (x, y)]
    out = np.zeros((4, 6), np.uint16 if out_dtype == "bfloat16" else np.float32)
    views = [
        View(z.ctypes.data, z.shape, (z.shape[1], 1), d)
        for z, d in zip((*held, out), ("bfloat16", "bfloat16", out_dtype))
    ]
    launch(device, *views)
    close(
        from_bfloat16(out) if out_dtype == "bfloat16" else out,
        x @ y,
        1e-2 if out_dtype == "bfloat16" else 1e-6,
    )


def test_precision_decides_how_factors_are_rounded(arrays):
    x, y = draw(16, 64), draw(64, 16)
    exact = x.astype("float64") @ y
    errors = {}
    for precision in ("default", "strict", "float32", "tf32", "bfloat16"):
        if precision == "bfloat16":
            pytest.importorskip("ml_dtypes")
        with tg.use(precision=precision):
            got = matmul.matmul(arrays, x, y)
        assert got.dtype == "float32"
        errors[precision] = np.abs(got - exact).max() / np.abs(exact).max()
    assert max(errors[p] for p in ("default", "strict", "float32")) < 1e-6
    assert 2e-5 < errors["tf32"] < 1e-3 < errors["bfloat16"] < 1e-2


def run(device, arrays, x, y, name, vector=None, mask=None, out=None):
    out = np.empty((x @ y).shape, x.dtype) if out is None else out
    epilogue = Epilogue(
        name,
        0 if vector is None else vector.ctypes.data,
        0 if mask is None else mask.ctypes.data,
    )
    launch(device, *(view(arrays, z) for z in (x, y, out)), epilogue=epilogue)
    return out


@pytest.mark.parametrize("columns", [6, 128, 130])
@pytest.mark.parametrize("turned", [*itertools.product([False, True], repeat=2)], ids=str)
def test_epilogues(device, arrays, columns, turned):
    x, y, bias = draw(8, 5), draw(5, columns), draw(columns)
    x = np.ascontiguousarray(x.T).T if turned[0] else x
    y = np.ascontiguousarray(y.T).T if turned[1] else y
    want = x @ y
    relu = np.maximum(want + bias, 0)
    close(run(device, arrays, x, y, "bias", bias), want + bias)
    close(run(device, arrays, x, y, "relu"), np.maximum(want, 0))
    close(run(device, arrays, x, y, "bias_relu", bias), relu)
    mask = np.zeros(mask_bytes(8, columns), np.uint8)
    close(run(device, arrays, x, y, "bias_relu_mask", bias, mask), relu)
    positive = want + bias > 0
    g, w = draw(8, 3), draw(columns, 3)  # what comes back through the layer above
    back = (g @ w.T) * positive
    close(run(device, arrays, g, w.T, "masked", None, mask), back)
    sums = np.zeros(columns, np.float32)
    close(run(device, arrays, g, w.T, "masked_sums", sums, mask), back)
    close(sums, back.sum(0))
    close(run(device, arrays, x, y, "relu_mask", None, mask), np.maximum(want, 0))
    close(run(device, arrays, g, w.T, "masked", None, mask), (g @ w.T) * (want > 0))
    close(run(device, arrays, x, y, "y_sums", sums), want)
    close(sums, y.sum(0))
    sums = np.zeros(8, np.float32)
    close(run(device, arrays, x, y, "x_sums", sums), want)
    close(sums, x.sum(1))


def test_what_is_aligned_least_decides(device, arrays):
    """A bias in the midst of other parameters, say: a wrong promise would make a kernel fail."""
    x, y, held = (arrays.device.put(draw(64, 64)) for _ in range(3))
    views = [View(m.address, (64, 64), (64, 1), "float32") for m in (x, y, held)]
    for offset, wanted in ((0, 256), (4, 4), (32, 32)):
        for epilogue in (
            Epilogue("bias", x.address + offset),
            Epilogue("relu_mask", 0, x.address + offset),
        ):
            ((product, _),) = matmul.products(*views, "float32", epilogue)
            assert product.alignment == wanted
    moved = views[1]._replace(address=y.address + 8, shape=(64, 32))
    ((product, _),) = matmul.products(views[0], moved, views[2]._replace(shape=(64, 32)), "float32")
    assert product.alignment == 8
    batch = View(x.address, (3, 4, 5), (20, 5, 1), "float32")  # a matrix every 80 bytes
    out = View(held.address, (3, 4, 4), (64, 4, 1), "float32")
    ((product, _),) = matmul.products(batch, batch._replace(shape=(3, 5, 4)), out, "float32")
    assert (product.batch, product.alignment) == (3, 16)


def test_a_layer_of_a_network_forward_and_backward(device, arrays):
    """The three products of a linear layer with ReLU, with the epilogues a step would use."""
    x, w, bias, g = draw(8, 20), draw(12, 20), draw(12), draw(8, 12)
    mask, db = np.zeros(mask_bytes(8, 12), np.uint8), np.zeros(12, np.float32)
    y = run(device, arrays, x, w.T, "bias_relu_mask", bias, mask)
    close(y, np.maximum(x @ w.T + bias, 0))
    g = g * (y > 0)
    close(run(device, arrays, g.T, x, "x_sums", db), g.T @ x)  # PyTorch's (out, in)
    close(db, g.sum(0))
    close(run(device, arrays, x.T, g, "y_sums", db), x.T @ g)  # (in, out)
    close(db, g.sum(0))


def test_memory_of_bfloat16_is_what_ml_dtypes_writes():
    """The doubles' own rounding, against an independent one."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = draw(999)
    want = x.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(to_bfloat16(x), want.view(np.uint16))
    np.testing.assert_array_equal(rounded(x), want.astype(np.float32))
    assert memory(want.ctypes.data, "bfloat16", (999,), (1,))[5] == want.view(np.uint16)[5]
