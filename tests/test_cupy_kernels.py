"""The CuPy backend's kernels without a GPU: on NumPy arrays, under g++, and compiled for a GPU."""

import ast
import ctypes
import inspect
import itertools
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorgraph_ops
from op_cases import ALL
from tensorgraph_cupy.kernels import im2col, kernels_for, philox

import tensorgraph as tg
from tensorgraph import config, execute
from tensorgraph.testing import gradcheck

SOURCES = sorted(philox.SOURCE.parent.glob("*.cu"))

GEOMETRIES = [
    # x, w, stride, padding, dilation, groups
    ((2, 3, 8), (4, 3, 3), (1,), ((0, 0),), (1,), 1),
    ((2, 4, 9), (6, 2, 2), (3,), ((2, 1),), (2,), 2),
    ((2, 3, 6, 7), (4, 3, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 3, 7, 8), (4, 3, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 4, 8, 8), (8, 1, 3, 3), (2, 1), ((0, 1), (2, 0)), (1, 2), 4),
    ((2, 2, 5, 4, 6), (3, 2, 2, 3, 2), (2, 1, 2), ((1, 0), (1, 1), (0, 0)), (1, 1, 2), 1),
    ((0, 3, 5, 5), (2, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
]


def correlate(x, w, stride, padding, dilation, groups):
    """Convolution as it is defined, one output element at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    (n, _, *sizes), (f, c, *k) = x.shape, w.shape
    reach = [(m - (k - 1) * d - 1) // s + 1 for m, k, s, d in zip(sizes, k, stride, dilation)]
    y = np.zeros((n, f, *reach))
    for i, j, *at in itertools.product(range(n), range(f), *map(range, reach)):
        first = j // (f // groups) * c
        window = tuple(
            slice(a * s, a * s + (m - 1) * d + 1, d) for a, s, m, d in zip(at, stride, k, dilation)
        )
        y[(i, j, *at)] = np.sum(x[(i, slice(first, first + c), *window)] * w[j])
    return y


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_im2col(geometry):
    """The two transposes of a bilinear map are known by its inner products."""
    x_shape, w_shape, *rest = geometry
    given = dict(zip(("stride", "padding", "dilation", "groups"), rest, strict=True))
    random = np.random.default_rng(0)
    x, w = random.standard_normal(x_shape), random.standard_normal(w_shape)
    want = correlate(x, w, **given)
    np.testing.assert_allclose(im2col.conv(np, x, w, **given), want, atol=1e-12)
    y = random.standard_normal(want.shape)
    gx = im2col.conv_input(np, y, w, size=x_shape[2:], **given)
    gw = im2col.conv_weight(np, x, y, size=w_shape[2:], **given)
    assert (gx.shape, gw.shape) == (x_shape, w_shape)
    for k in range(3):
        vx, vw = random.standard_normal(x_shape), random.standard_normal(w_shape)
        assert np.sum(gx * vx) == pytest.approx(np.sum(y * correlate(vx, w, **given))), k
        assert np.sum(gw * vw) == pytest.approx(np.sum(y * correlate(x, vw, **given))), k


@pytest.fixture
def im2col_in_force(monkeypatch):
    """The engine runs the GPU's convolutions, on NumPy arrays."""
    offered = [kernel for kernel in kernels_for(np) if kernel.name == "im2col"]
    monkeypatch.setattr(execute, "_calls", {})
    monkeypatch.setattr(
        tg.plugins, "kernels_for", lambda backend, op: [k for k in offered if k.op == op]
    )
    return tuple((kernel.op, "im2col") for kernel in offered)


@pytest.mark.parametrize("case", [c for c in ALL if c.op.startswith("conv")], ids=str)
def test_im2col_in_the_engine(im2col_in_force, case):
    def call(*inputs):
        if case.call is not None:
            return case.call(*inputs, **case.params)
        return getattr(tg.ops, case.op)(*inputs, **case.params)

    with config.Scope(kernels=im2col_in_force):
        out = call(*map(tg.tensor, case.inputs))
        np.testing.assert_allclose(out.numpy(), case.oracle(*case.inputs), atol=1e-10)
        gradcheck(call, case.inputs, order=case.order, tolerance=1e-5)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """philox.cu as a library for this machine's processor."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: CUDA sources are not run on the CPU")
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "main.cpp").write_text(
        f'#include "{Path(__file__).with_name("cuda_on_cpu.h")}"\n#include "{philox.SOURCE}"\n'
        'extern "C" void run(unsigned blocks, unsigned threads, const unsigned* keys, uint4* out,\n'
        "    unsigned long long each, unsigned long long n) {\n"
        "    launch(blocks, threads, philox, keys, out, each, n); }\n"
        'extern "C" void block(const uint4* in, const unsigned* key, uint4* out) {\n'
        "    *out = philox_block(*in, key[0], key[1]); }\n"
    )
    command = "g++ -x c++ -std=c++17 -O1 -Wall -Werror -Wno-unused -shared -fPIC -o lib.so main.cpp"
    subprocess.run(command.split(), cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "lib.so"))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


KNOWN = [  # counter, key, result: Random123's kat_vectors for philox4x32 with 10 rounds
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "want"), KNOWN)
def test_philox_source_has_the_published_bits(emulated, counter, key, want):
    out = np.zeros(4, np.uint32)
    counter, key = np.array(counter, np.uint32), np.array(key, np.uint32)
    emulated.block(pointer(counter), pointer(key), pointer(out))
    assert out.tolist() == want


@pytest.mark.parametrize("blocks", [1, 3, 40])
@pytest.mark.parametrize("rows", [1, 7])
def test_philox_source_has_numpys_bits(emulated, blocks, rows):
    keys = np.array([[12345, 67 + i, 89, 2**31] for i in range(rows)], np.uint32)
    want = tg.ops.random_bits_each(tg.tensor(keys), shape=(rows, 4 * 999)).numpy()
    out, numbers = np.zeros((rows, 4 * 999), np.uint32), map(ctypes.c_uint64, (999, 999 * rows))
    emulated.run(blocks, philox.THREADS, pointer(keys), pointer(out), *numbers)
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("shape", [(1,), (0, 3), (3, 0), (5,), (2, 3, 7), (1, 8192)])
def test_philox_launch_covers_every_word(monkeypatch, shape):
    launched = []

    def kernel(grid, block, arguments):
        _, out, each, counters = arguments
        launched.append((grid[0] * block[0] >= min(counters, 1), int(each), int(counters)))
        out[:] = np.arange(out.shape[1])

    monkeypatch.setattr(philox, "_kernel", lambda xp: kernel)
    size = math.prod(shape[1:])
    words = philox.random_bits_each(np, np.zeros((shape[0], 4), np.uint32), shape=shape)
    assert words.shape == shape
    for row in words:
        np.testing.assert_array_equal(np.ravel(row), np.arange(size))
    each = -(-size // 4)
    assert launched == ([] if 0 in shape else [(True, each, each * shape[0])])
    assert philox.random_bits(np, np.zeros(4, np.uint32), shape=shape).shape == shape
    assert philox.random_bits(np, np.zeros(4, np.uint32), shape=()).shape == ()


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.name)
def test_cuda_sources_compile(source, architecture, tmp_path):
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except (ImportError, RuntimeError) as error:
        compiler = shutil.which("nvcc")
        if compiler is None:
            reason = (str(error).splitlines() or ["?"])[0]
            pytest.skip(f"neither NVRTC ({reason}) nor nvcc: CUDA sources are not compiled")
        command = [
            compiler,
            f"-arch={architecture}",
            "-std=c++17",
            "-cubin",
            "-Werror=all-warnings",
        ]
        subprocess.run([*command, "-o", str(tmp_path / "out.cubin"), str(source)], check=True)
        return
    program = nvrtc.createProgram(source.read_text("utf-8"), source.name, (), ())
    try:
        nvrtc.compileProgram(program, (f"-arch={architecture}", "-std=c++17"))
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    assert len(nvrtc.getCUBIN(program)) > 1000


def calls_of_xp():
    """(file, line, name, keywords) of every ``xp.name(…)`` in the portable kernels."""
    folders = [Path(package.__file__).parent for package in (tg.ops, tensorgraph_ops)]
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            function = node.func if isinstance(node, ast.Call) else node
            if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
                continue
            if function.value.id == "xp":
                given = [k.arg for k in node.keywords] if isinstance(node, ast.Call) else []
                yield f"{path.name}:{node.lineno}", function.attr, given


def test_portable_kernels_use_only_what_cupy_has():
    cupy = pytest.importorskip("cupy", reason="the package cupy is not installed")
    calls = list(calls_of_xp())
    assert len(calls) > 100
    for where, name, keywords in calls:
        if name in {kernel.op for kernel in kernels_for(cupy)}:  # CuPy spells it otherwise
            continue
        assert hasattr(cupy, name), f"{where}: cupy has no {name}"
        try:
            known = set(inspect.signature(getattr(cupy, name)).parameters)
        except (TypeError, ValueError):  # a ufunc or a dtype
            known = {"out", "dtype", "casting"}
        assert {k for k in keywords if k} <= known, f"{where}: {name}({', '.join(keywords)})"


def test_kernels_have_the_parameters_of_their_op():
    def parameters(function):
        found = inspect.signature(function).parameters.values()
        return [(p.name, p.kind is p.KEYWORD_ONLY) for p in found]

    for kernel in kernels_for(np):
        assert parameters(kernel.run) == parameters(getattr(tg.ops, kernel.op)), kernel.name
