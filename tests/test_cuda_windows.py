"""Convolution without cuDNN: windows gathered and summed up by CUDA on the emulated device, and
products by the double of cuBLASLt, against convolution in float64."""

import numpy as np
import pytest
from cuda_libraries import opened
from cuda_memory import from_bfloat16, to_bfloat16
from cudnn_double import FrontendDouble
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.kernels import conv, im2col, launching, windows
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.lib.convolution import Convolution
from tensorgraph_cupy.lib.cudnn import Cudnn
from test_cuda_lib_conv import GEOMETRIES, close, draw, maps

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
WIDE = [  # channels that are moved several at a time
    ((2, 8, 6, 7), (4, 8, 3, 2), (1, 2), ((1, 1), (0, 1)), (2, 1), 1),
    ((1, 16, 7, 5), (8, 4, 3, 3), (2, 1), ((1, 0), (2, 1)), (1, 2), 4),
    ((1, 4, 9, 4), (4, 4, 2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), 1),  # pixels no window sees
]


def without_cudnn():
    return {"cublaslt": opened()["cublaslt"]}


def without_a_plan():
    def refusing(device):
        return Cudnn(FrontendDouble(device, refuses=lambda graph: True), device)

    return {**opened(), "cudnn": refusing}


@pytest.mark.parametrize("libraries", [without_cudnn, without_a_plan])
@pytest.mark.parametrize("geometry", [*GEOMETRIES, *WIDE, "counted in 64 bits"], ids=str)
@pytest.mark.parametrize("name", ["conv", "conv_input", "conv_weight"])
def test_the_three_maps(name, geometry, libraries, monkeypatch):
    if geometry == "counted in 64 bits":
        monkeypatch.setattr(launching, "WIDE", 0)
        geometry = WIDE[1]
    operands, given = maps(geometry)[name]
    want = getattr(im2col, name)(np, *[x.astype("float64") for x in operands], **given)
    arrays = Arrays(np, EmulatedDevice(libraries()))
    close(getattr(conv, name)(arrays, *operands, **given), want)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("epilogue", ["none", "bias", "bias_relu"])
def test_by_addresses_in_a_captured_step(dtype, groups, epilogue):
    device = EmulatedDevice(without_cudnn())
    shapes = {"x": (2, 5, 6, 16), "w": (8, 3, 3, 16 // groups), "bias": (8,), "y": (2, 5, 6, 8)}
    held = {name: draw(*shape) for name, shape in shapes.items()}
    if dtype == "bfloat16":
        held = {name: from_bfloat16(to_bfloat16(x)) for name, x in held.items()}
    stored = {n: to_bfloat16(x) if dtype == "bfloat16" else x for n, x in held.items()}
    memory = {name: device.put(x) for name, x in stored.items()}
    same = ((1, 1), (1, 1))
    problem = Convolution(
        "y", 2, 16, 8, (5, 6), (3, 3), (1, 1), same, (1, 1), groups, dtype, epilogue=epilogue
    )
    size = conv.scratch(device, problem)
    assert size == windows.scratch(problem) == 60 * 9 * 16 * (2 if dtype == "bfloat16" else 4)
    given = {"x": memory["x"].address, "w": memory["w"].address, "y": memory["y"].address}
    if epilogue != "none":
        given["bias"] = memory["bias"].address
    rows = device.allocate(size)
    conv.launch(device, problem, **given, scratch=rows.address)  # libraries are opened
    device.fill(given["y"], memory["y"].size, 0xFF)
    replay = device.capture(lambda: conv.launch(device, problem, **given, scratch=rows.address))
    replay()
    x, w = (np.moveaxis(held[k], -1, 1).astype("float64") for k in "xw")
    geometry = {"stride": (1, 1), "padding": same, "dilation": (1, 1), "groups": groups}
    want = np.moveaxis(im2col.conv(np, x, w, **geometry), 1, -1)
    want = want if epilogue == "none" else want + held["bias"]
    want = np.maximum(want, 0) if epilogue == "bias_relu" else want
    got = device.get(memory["y"], shapes["y"], stored["y"].dtype)
    got = from_bfloat16(got) if dtype == "bfloat16" else got
    close(got, want, 2e-6 if dtype == "float32" else 5e-3)


def test_gradients_of_bfloat16_images_are_summed_in_float32():
    """Nine terms rounded one by one would be off by several roundings of the sum."""
    device = EmulatedDevice(without_cudnn())
    y, w = (from_bfloat16(to_bfloat16(draw(*s))) for s in ((2, 6, 6, 32), (32, 3, 3, 8)))
    memory = {k: device.put(to_bfloat16(a)) for k, a in (("y", y), ("w", w))}
    memory["x"] = device.put(np.zeros((2, 6, 6, 8), np.uint16))
    same = ((1, 1), (1, 1))
    problem = Convolution("x", 2, 8, 32, (6, 6), (3, 3), (1, 1), same, (1, 1), 1, "bfloat16")
    rows = device.allocate(conv.scratch(device, problem))
    addresses = {name: held.address for name, held in memory.items()}
    conv.launch(device, problem, **addresses, scratch=rows.address)
    geometry = {"stride": (1, 1), "padding": same, "dilation": (1, 1), "groups": 1}
    turned = (np.moveaxis(a, -1, 1).astype("float64") for a in (y, w))
    want = np.moveaxis(im2col.conv_input(np, *turned, size=(6, 6), **geometry), 1, -1)
    got = from_bfloat16(device.get(memory["x"], want.shape, np.uint16))
    np.testing.assert_allclose(got, want, rtol=2**-8, atol=1e-4)  # one rounding
