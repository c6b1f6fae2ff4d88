"""Plans of products on cuBLASLt without a GPU: how they are kept, captured, shared and refused."""

import concurrent.futures
import gc
import time

import numpy as np
import pytest
import test_cuda_lib_matmul
from cublaslt_double import CublasltDouble
from cuda_libraries import opened
from emulated_device import EmulatedDevice
from tensorgraph_cupy.kernels import conv, matmul
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.lib import UnsupportedError
from tensorgraph_cupy.lib.convolution import Convolution
from tensorgraph_cupy.lib.cublaslt import Cublaslt
from test_cuda_lib_matmul import close, draw, run

import tensorgraph as tg
from tensorgraph.errors import BackendError

device, arrays = test_cuda_lib_matmul.device, test_cuda_lib_matmul.arrays  # fixtures


def test_a_graph_takes_products_and_replays_them(device, arrays):
    x, y, out, bias = draw(4, 5), draw(5, 6), np.zeros((4, 6), np.float32), draw(6)
    device.library("cublaslt")  # captures open nothing
    replay = device.capture(lambda: run(device, arrays, x, y, "bias", bias, out=out))
    other = np.full(6, 100, np.float32)
    run(device, arrays, draw(4, 5), draw(5, 6), "bias", other)  # the same plan, another bias
    assert not out.any()
    for _ in range(2):
        x *= 2
        replay()
        close(out, x @ y + bias)


def test_a_product_that_cublaslt_lacks_is_a_convolution_of_cudnns():
    libraries = {**opened(), "cublaslt": lambda d: Cublaslt(CublasltDouble(d, {6}), d)}
    device = EmulatedDevice(libraries)
    x, w, bias, y = draw(2, 5, 6, 3), draw(4, 3), draw(4), np.zeros((2, 5, 6, 4), np.float32)
    sizes = (2, 3, 4, (5, 6), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    problem = Convolution("y", *sizes, epilogue="bias_relu")
    assert conv.scratch(device, problem) == 0
    held = {"x": x, "w": w, "y": y, "bias": bias}
    conv.launch(device, problem, **{name: array.ctypes.data for name, array in held.items()})
    close(y, np.maximum(x @ w.T + bias, 0))
    assert device.library("cudnn").frontend.calls


def test_plans_are_kept_by_what_they_depend_on(device, arrays):
    library = device.library("cublaslt")
    x, y = draw(4, 8), draw(8, 6)
    for _ in range(3):
        run(device, arrays, x, y, "none")
    asked = library.library.heuristics
    run(device, arrays, draw(4, 8), draw(8, 6), "none")
    assert library.library.heuristics <= asked + 1  # other addresses: their alignment may differ
    run(device, arrays, draw(4, 8), draw(8, 7), "none")
    assert library.library.heuristics > asked


def test_descriptors_go_with_their_plan():
    device = EmulatedDevice(opened())
    run(device, Arrays(np, device), draw(4, 8), draw(8, 6), "none")
    library = device.library("cublaslt")
    assert library.library.destroyed == 1  # the preference
    library.plans.clear()
    gc.collect()
    assert library.library.destroyed == 5  # and a description and three layouts


def test_threads_may_share_a_plan(device, arrays, monkeypatch):
    """A description holds the bias of one call at a time, and calls go on beside each other."""
    library = device.library("cublaslt")
    x, y = draw(4, 8), draw(8, 6)
    run(device, arrays, x, y, "bias", draw(6))
    multiply = library.library.cublasLtMatmul

    def late(*arguments):
        time.sleep(1e-3)  # the others get their turn
        return multiply(*arguments)

    monkeypatch.setattr(library.library, "cublasLtMatmul", late, raising=False)

    def work(number):
        for _ in range(5):
            bias = np.full(6, number, np.float32)
            close(run(device, arrays, x, y, "bias", bias), x @ y + number, 1e-5)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))


def test_what_the_library_has_no_algorithm_for(arrays):
    device = EmulatedDevice({"cublaslt": lambda d: Cublaslt(CublasltDouble(d, {4}), d)})
    with pytest.raises(
        UnsupportedError, match=r"cuBLASLt 130100 has no algorithm for Product\(rows"
    ):
        run(device, arrays, draw(4, 8), draw(8, 6), "bias", draw(6))


@pytest.mark.parametrize("status", [7, 8])
def test_an_epilogue_may_be_refused_as_an_invalid_value(arrays, status):
    """A product without one is never invalid, unless it is described wrongly."""

    def lacking(number):
        library = {"cublaslt": lambda d: Cublaslt(CublasltDouble(d, {number}, status=status), d)}
        return EmulatedDevice(library)

    with pytest.raises(UnsupportedError, match="has no algorithm for"):
        run(lacking(4), arrays, draw(4, 8), draw(8, 6), "bias", draw(6))
    with pytest.raises(BackendError, match=rf"AlgoGetHeuristic failed with \w+ \({status}\)"):
        run(lacking(1), arrays, draw(4, 8), draw(8, 6), "none")


def test_a_product_without_an_algorithm_is_the_array_modules():
    device = EmulatedDevice({"cublaslt": lambda d: Cublaslt(CublasltDouble(d, {1}), d)})
    x, y = draw(3, 4, 8), draw(8)
    with tg.use(precision="tf32"):
        close(matmul.matmul(Arrays(np, device), x, y), x @ y)


def test_a_status_is_read_out(device, arrays, monkeypatch):
    library = device.library("cublaslt")
    monkeypatch.setattr(library.library, "cublasLtMatmul", lambda *a: 13, raising=False)
    message = r"cublasLtMatmul failed with CUBLAS_STATUS_EXECUTION_FAILED \(13\); CUBLASLT_LOG"
    with pytest.raises(BackendError, match=message):
        run(device, arrays, draw(4, 8), draw(8, 6), "none")
    monkeypatch.setattr(library.library, "cublasLtMatmul", lambda *a: 99, raising=False)
    with pytest.raises(BackendError, match=r"an unknown status \(99\)"):
        run(device, arrays, draw(4, 8), draw(8, 6), "none")
