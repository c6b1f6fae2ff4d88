"""Chains that are summed up, over rows, columns and all, on the emulated device and by NVRTC."""

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.kernels import reduce as reducing
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step
from tensorgraph_cupy.kernels.moments import moments, summed
from tensorgraph_cupy.kernels.reduce import WARP, new_workspace, reduce, reduction_source
from test_cuda_sources import check

emulated = pytest.mark.skipif(not available(), reason="g++ is not installed")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
RANDOM = np.random.default_rng(0)
SIZES = [  # (n0, n1, n2), the middle reduced; or (n0, n1), the last reduced
    (1, 1, 1), (1, 7, 3), (1, 1000, 8), (1, 5000, 64), (3, 130, 10), (2, 300, 300), (5, 0, 4),
    (1, 40_000, 2), (40, 9, 16), (0, 4, 4), (2, 3, 0),
    (1, 1), (3, 5), (2000, 10), (2000, 12), (7, 3000), (1, 100_003), (1, 100_000), (4, 0), (0, 3),
]  # fmt: skip


def product_chain(storage, axes):
    """Of x and y: the sum of x, that of x * y (scaled), the largest x * y; x * y is stored too."""
    operand = Operand(storage, (True,) * axes)
    return Chain(
        (operand, operand),
        (Step("multiply", (0, 1), "float32"),),
        ((2, "float32"),),
        (
            Reduction(0, "sum", "float32"),
            Reduction(2, "sum", storage),
            Reduction(2, "max", "float32"),
        ),
    )


@emulated
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize("sizes", [*SIZES, "counted in 64 bits"], ids=str)
def test_reductions(sizes, storage, monkeypatch):
    if sizes == "counted in 64 bits":
        monkeypatch.setattr(reducing, "WIDE", 0)
        sizes = (3, 130, 10)
    dtype = BFLOAT16 if storage == "bfloat16" else np.dtype(storage)
    x, y = RANDOM.standard_normal((2, *sizes)).astype(np.float32).astype(dtype)
    kept = (*sizes[:1], *sizes[2:])
    for backwards in (False, True):
        device = EmulatedDevice(backwards=backwards)
        given, out = [device.put(x), device.put(y)], device.allocate(4 * x.size)
        results = [device.allocate(4 * int(np.prod(kept))) for _ in range(3)]
        workspace = new_workspace(device)
        for _ in range(2):  # the counters are left as they were found
            for memory in (out, *results):
                device.fill(memory.address, memory.size, 0xFF)
            reduce(
                device,
                product_chain(storage, len(sizes)),
                sizes,
                [memory.address for memory in given],
                [out.address],
                [memory.address for memory in results],
                (1.0, 0.5, 1.0),
                workspace.address,
            )
        if 0 in kept:
            continue
        both = x.astype(np.float64), x.astype(np.float64) * y.astype(np.float64)
        want = [both[0].sum(1), both[1].sum(1) / 2, both[1].max(1, initial=-np.inf)]
        for memory, value, kind in zip(results, want, ("float32", dtype, "float32")):
            found = device.get(memory, kept, np.dtype(kind)).astype(np.float64)
            rtol = 2**-8 if kind == BFLOAT16 else 1e-5
            np.testing.assert_allclose(found, value, rtol, 1e-6 * max(1, sizes[1]))
        np.testing.assert_allclose(device.get(out, sizes, np.float32), both[1], 1e-6)


def test_split_sums_are_split():
    """The sizes above reach all ways: sums of one block and of several, of warps and of blocks."""
    device = EmulatedDevice()
    assert reducing._column_blocks(device, (1, 5000, 64), 4, 0) == ((1, 16), (16, 16))
    assert reducing._row_blocks(device, (1, 100_000), 4, 256)[0] == (1, 12)


@emulated
def test_batch_norms_gradient():
    """Both sums of the backward pass, with the ReLU's mask before them, in one pass."""
    rows, channels = 700, 12
    g, out, x = RANDOM.standard_normal((3, rows, channels)).astype(np.float32)
    average, inverse = RANDOM.standard_normal((2, channels)).astype(np.float32)
    device = EmulatedDevice()
    held = [device.put(a) for a in (g, out, x, average, inverse)]
    results = [device.allocate(4 * channels) for _ in range(2)]
    addresses = [memory.address for memory in held]
    sums = [memory.address for memory in results]
    workspace = new_workspace(device).address
    reduce(
        device,
        gradient_chain("float32"),
        (1, rows, channels),
        addresses,
        [],
        sums,
        (1, 1),
        workspace,
    )
    masked = g * (out > 0)
    want = masked.sum(0), (masked * (x - average) * inverse).sum(0)
    for memory, value in zip(results, want):
        np.testing.assert_allclose(device.get(memory, (channels,), np.float32), value, 1e-4, 1e-4)


@emulated
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize("offset", [0, 1000])
def test_moments(storage, offset):
    """Far from 0 too, where the sum of squares in float32 would leave no digit of the variance."""
    device, dtype = EmulatedDevice(), BFLOAT16 if storage == "bfloat16" else np.dtype(storage)
    x = (RANDOM.standard_normal((3000, 24)) * 0.5 + offset).astype(np.float32).astype(dtype)
    held, mean, variance = device.put(x), device.allocate(96), device.allocate(96)
    addresses = held.address, mean.address, variance.address, new_workspace(device)
    moments(device, storage, 3000, 24, *addresses[:3], addresses[3].address)
    assert [function for function, *_ in device.machine.launches] == ["reduce"]
    x = x.astype(np.float64)
    np.testing.assert_allclose(device.get(mean, 24, np.float32), x.mean(0), 1e-5, 1e-6)
    np.testing.assert_allclose(device.get(variance, 24, np.float32), x.var(0), 1e-4)


def gradient_chain(storage):
    full, channel = Operand(storage, (True,) * 3), Operand("float32", (False, False, True))
    steps = (
        Step("constant", (), "float32", (("value", 0.0),)),
        Step("greater", (1, 5), "bool"),
        Step("cast", (6,), "float32", (("dtype", "float32"),)),
        Step("multiply", (0, 7), "float32"),
        Step("subtract", (2, 3), "float32"),
        Step("multiply", (9, 4), "float32"),
        Step("multiply", (8, 10), "float32"),
    )
    reductions = (Reduction(8, "sum", "float32"), Reduction(11, "sum", "float32"))
    return Chain((full, full, full, channel, channel), steps, (), reductions)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_sources_compile_without_spills(storage, architecture):
    chain = gradient_chain(storage)
    check(reduction_source(chain, chain.width(), 0, "int"), "columns.cu", architecture)
    chain = summed(storage)
    check(reduction_source(chain, chain.width(), 0, "int"), "moments.cu", architecture)
    for group in (WARP, 256):
        chain = product_chain(storage, 2)
        check(reduction_source(chain, chain.width(), group, "int"), "rows.cu", architecture)
