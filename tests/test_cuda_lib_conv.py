"""Convolution on cuDNN without a GPU: the graphs, interpreted by NumPy, give the convolution.

What is tested are shapes, strides, padding, addresses and the way back to im2col; that the real
library has plans for these graphs is tested in test_cuda_lib_plans.py, and that its kernels
compute them only a GPU shows.
"""

import concurrent.futures
import json
import threading
import time

import numpy as np
import pytest
from conv_geometries import WINDOWS
from cuda_libraries import opened
from cuda_memory import from_bfloat16, to_bfloat16
from cudnn_double import FrontendDouble, Graph
from emulated_device import EmulatedDevice
from op_cases import ALL
from tensorgraph_cupy.kernels import conv, im2col
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.lib import UnsupportedError
from tensorgraph_cupy.lib.convolution import Convolution, channels_last
from tensorgraph_cupy.lib.cudnn import Cudnn

import tensorgraph as tg
from tensorgraph import execute
from tensorgraph.backend import Kernel
from tensorgraph.testing import gradcheck

GEOMETRIES = [
    *WINDOWS,
    ((3, 5, 4, 6), (7, 5, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),  # a product
    ((3, 5, 6), (7, 5, 1), (1,), ((0, 0),), (1,), 1),
    ((3, 5, 4, 6), (7, 5, 1, 1), (2, 1), ((0, 0), (0, 0)), (1, 1), 1),  # and what is none
    ((3, 4, 4, 6), (6, 2, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 2),
]


@pytest.fixture
def arrays():
    return Arrays(np, EmulatedDevice(opened()))


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("float32")


def close(got, want, tolerance=2e-6):
    assert got.shape == want.shape and got.dtype == "float32"
    np.testing.assert_allclose(got, want, atol=tolerance * np.abs(want).max())


def maps(geometry):
    """Name → how to call the map with kernels of im2col's signature, and what its arrays are."""
    x_shape, w_shape, *rest = geometry
    given = dict(zip(("stride", "padding", "dilation", "groups"), rest, strict=True))
    x, w = draw(*x_shape), draw(*w_shape)
    y = draw(*im2col.conv(np, x, w, **given).shape)
    return {
        "conv": ((x, w), given),
        "conv_input": ((y, w), {"size": x_shape[2:], **given}),
        "conv_weight": ((x, y), {"size": w_shape[2:], **given}),
    }


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("name", ["conv", "conv_input", "conv_weight"])
def test_the_three_maps(arrays, name, geometry):
    operands, given = maps(geometry)[name]
    want = getattr(im2col, name)(np, *[x.astype("float64") for x in operands], **given)
    got = getattr(conv, name)(arrays, *operands, **given)
    close(got, want)
    assert got.transpose(0, *range(2, got.ndim), 1).flags.c_contiguous  # channels last
    last = [arrays.channels_last(x) for x in operands]
    close(getattr(conv, name)(arrays, *last, **given), want)


@pytest.fixture
def in_force(monkeypatch):
    """The engine runs these kernels, on NumPy arrays, and says which."""
    arrays, ran = Arrays(np, EmulatedDevice(opened())), []

    def kernel(name):
        def run(*inputs, **given):
            ran.append(name)
            return getattr(conv, name)(arrays, *inputs, **given)

        return Kernel(name, "cudnn", run, conv.supports)

    offered = [kernel(name) for name in ("conv", "conv_input", "conv_weight")]
    monkeypatch.setattr(execute, "_calls", {})
    monkeypatch.setattr(
        tg.plugins, "kernels_for", lambda backend, op: [k for k in offered if k.op == op]
    )
    return ran


@pytest.mark.parametrize("case", [c for c in ALL if c.op.startswith("conv")], ids=str)
def test_the_op_suite_in_the_engine(in_force, case):
    def call(*inputs):
        if case.call is not None:
            return case.call(*inputs, **case.params)
        return getattr(tg.ops, case.op)(*inputs, **case.params)

    inputs = [x.astype("float32") if x.dtype == "float64" else x for x in case.inputs]
    out = call(*[tg.tensor(x) for x in inputs])
    want = case.oracle(*case.inputs)
    np.testing.assert_allclose(out.numpy(), want, atol=1e-5 * np.abs(want).max(initial=1))
    assert in_force or 0 in out.shape or any(0 in x.shape for x in inputs)


def test_gradients_go_through_all_three(in_force):
    """Of float64, which cuDNN does not have: `supports` sends it elsewhere."""
    x, w = np.ones((1, 2, 4, 4)), np.ones((2, 2, 3, 3))
    gradcheck(lambda x, w: tg.ops.conv(x, w, padding=1), (x, w), order=2)
    assert not in_force
    x, w = (tg.tensor(a.astype("float32"), requires_grad=True) for a in (x, w))
    tg.ops.sum(tg.ops.conv(x, w, padding=1)).backward()
    assert in_force == ["conv", "conv_input", "conv_weight"]


def addresses(**held):
    return {name: array.ctypes.data for name, array in held.items()}


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bias_and_relu(kernel, dtype):
    """By addresses, as a captured step calls it."""
    device = EmulatedDevice(opened())
    x, w, bias = draw(2, 5, 6, 3), draw(4, kernel, kernel, 3), draw(4)
    shapes = (2, 3, 4, (5, 6), (kernel, kernel))
    pad = kernel // 2
    problem = Convolution("y", *shapes, (1, 1), ((pad, pad),) * 2, (1, 1), dtype=dtype)
    exact = {"stride": (1, 1), "padding": problem.padding, "dilation": (1, 1), "groups": 1}
    held = [
        np.ascontiguousarray(to_bfloat16(z)) if dtype == "bfloat16" else z for z in (x, w, bias)
    ]
    if dtype == "bfloat16":
        x, w, bias = map(from_bfloat16, held)
    want = im2col.conv(np, x.transpose(0, 3, 1, 2), w.transpose(0, 3, 1, 2), **exact)
    want = want.transpose(0, 2, 3, 1)
    for epilogue in ("none", "bias", "bias_relu"):
        y = np.zeros(want.shape, held[0].dtype)
        given = addresses(x=held[0], w=held[1], y=y)
        if epilogue != "none":
            given["bias"] = held[2].ctypes.data
        conv.launch(device, problem._replace(epilogue=epilogue), **given)
        sums = want if epilogue == "none" else want + bias
        right = np.maximum(sums, 0) if epilogue == "bias_relu" else sums
        got = from_bfloat16(y) if dtype == "bfloat16" else y
        close(got, right, 2e-6 if dtype == "float32" else 5e-3)


def test_precision_decides_how_factors_are_rounded(arrays):
    (x, w), given = maps(GEOMETRIES[3])["conv"]
    exact = im2col.conv(np, x.astype("float64"), w, **given)
    errors = {}
    for precision in ("default", "strict", "float32", "tf32", "bfloat16"):
        if precision == "bfloat16":
            pytest.importorskip("ml_dtypes")
        with tg.use(precision=precision):
            got = conv.conv(arrays, x, w, **given)
        assert got.dtype == "float32"
        errors[precision] = np.abs(got - exact).max() / np.abs(exact).max()
    assert max(errors[p] for p in ("default", "strict", "float32")) < 1e-6
    assert 2e-5 < errors["tf32"] < 1e-3 < errors["bfloat16"] < 1e-2


def test_what_rounds_more_than_was_asked_for_is_left_out():
    def unwanted(**more):
        library = Cudnn(FrontendDouble(EmulatedDevice()), EmulatedDevice())
        sizes = (2, 4, 4, (5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
        return set(library.graph(Convolution("y", *sizes, **more)).unwanted)

    always = {"NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION", "RUNTIME_COMPILATION"}
    assert unwanted(dtype="bfloat16") == unwanted(arithmetic="tf32") == always
    assert unwanted() == {*always, "TENSOR_CORE", "DOWN_CONVERT_INPUTS"}
    assert unwanted(arithmetic="strict") == {*unwanted(), "WINOGRAD", "FFT"}


def without_a_plan(device):
    return Cudnn(FrontendDouble(device, refuses=lambda graph: True), device)


def test_what_has_no_plan_is_asked_for_once():
    library = without_a_plan(EmulatedDevice())
    asked = []
    library.frontend.refuses = lambda graph: asked.append(graph) or True
    sizes = (2, 4, 4, (5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    for _ in range(3):
        message = r"cuDNN 91900 has no plan for Convolution\(kind="
        with pytest.raises(UnsupportedError, match=message):
            library.plan(Convolution("y", *sizes))
    assert len(asked) == 1


def test_plans_are_built_once(arrays):
    library = arrays.device.library("cudnn")
    for geometry in (GEOMETRIES[3], GEOMETRIES[4], GEOMETRIES[3]):
        for name, (operands, given) in maps(geometry).items():
            getattr(conv, name)(arrays, *operands, **given)
    assert library.frontend.built == len(library.plans) == 6
    assert [memory.size for memory in library.workspace.kept[0]] == [512]


def test_a_frontend_without_the_fast_way_in():
    used = []
    for fast in (True, False):
        device = EmulatedDevice()
        frontend = FrontendDouble(device, fast=fast)
        device.machine.libraries["cudnn"] = lambda d, f=frontend: Cudnn(f, d)
        (x, w), given = maps(GEOMETRIES[3])["conv"]
        close(conv.conv(Arrays(np, device), x, w, **given), im2col.conv(np, x, w, **given))
        used += frontend.calls
        assert device.library("cudnn").by_order == fast
    assert used == ["FastGraph", "Graph"]


def test_a_graph_takes_convolutions_and_replays_them():
    device = EmulatedDevice(opened())
    x, w, y = draw(2, 5, 6, 3), draw(4, 3, 3, 3), np.zeros((2, 5, 6, 4), np.float32)
    problem = Convolution("y", 2, 3, 4, (5, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    conv.launch(device, problem, **addresses(x=x, w=w, y=y))  # captures open nothing
    y[:] = 0
    replay = device.capture(lambda: conv.launch(device, problem, **addresses(x=x, w=w, y=y)))
    assert not y.any()
    for _ in range(2):
        x *= 2
        replay()
        want = im2col.conv(
            np,
            *(z.transpose(0, 3, 1, 2) for z in (x, w)),
            stride=(1, 1),
            padding=problem.padding,
            dilation=(1, 1),
            groups=1,
        )
        close(y, np.ascontiguousarray(want.transpose(0, 2, 3, 1)))


class OfThreads(EmulatedDevice):
    """Each thread has a current stream, as CuPy's threads do."""

    stream = property(lambda self: threading.get_ident(), lambda self, number: None)


def test_threads_with_streams_of_their_own():
    """A handle has one stream at a time, and calls go on beside each other."""
    device = OfThreads(opened())
    frontend = device.library("cudnn").frontend
    run, set_stream = frontend.pygraph.execute, frontend.set_stream

    def late(*arguments, **more):
        time.sleep(1e-3)  # the others get their turn
        run(*arguments, **more)

    frontend.pygraph.execute = late
    seen = []
    frontend.set_stream = lambda **given: (seen.append(given["stream"]), set_stream(**given))
    x, w = draw(2, 5, 6, 3), draw(4, 3, 3, 3)
    problem = Convolution("y", 2, 3, 4, (5, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))

    def work(_):
        for _ in range(5):
            y = np.zeros((2, 5, 6, 4), np.float32)
            conv.launch(device, problem, **addresses(x=x, w=w, y=y))
            assert y.any()

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(6)))
    assert len(set(seen)) > 1
    count = len(seen)
    for _ in range(3):
        work(None)
    assert len(seen) == count + 1, "a stream is set once, until another is"


def test_one_axis_is_a_plane_of_height_one():
    problem = Convolution("y", 2, 3, 4, (9,), (3,), (2,), ((0, 2),), (1,))
    assert problem.reach == (5,) and problem.lifted().reach == (1, 5)
    graph = Cudnn(FrontendDouble(EmulatedDevice()), EmulatedDevice()).graph(problem)
    held = json.loads(Graph.__str__(graph))["tensors"]
    assert held["1"]["dim"] == [2, 3, 1, 9] and held["1"]["stride"] == [27, 1, 27, 3]


def test_strides_of_channels_last():
    for shape in [(2, 3, 5), (2, 3, 5, 7), (2, 3, 4, 5, 6)]:
        array = np.zeros((shape[0], *shape[2:], shape[1]), np.uint8)
        assert channels_last(shape) == np.moveaxis(array, -1, 1).strides
