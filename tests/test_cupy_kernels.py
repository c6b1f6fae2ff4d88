"""The CuPy backend's kernels on NumPy arrays, and what all of its kernels keep to."""

import ast
import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorgraph_ops
from conv_geometries import WINDOWS
from emulated_device import EmulatedDevice, available
from op_cases import ALL
from tensorgraph_cupy.kernels import im2col, kernels_for
from tensorgraph_cupy.kernels.arrays import Arrays

import tensorgraph as tg
from tensorgraph import config, execute
from tensorgraph.testing import gradcheck


def kernels_on(xp):
    """The kernels, of which those in CUDA run on the processor."""
    return kernels_for(Arrays(xp, EmulatedDevice()))


GEOMETRIES = [
    *WINDOWS,
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
    offered = [kernel for kernel in kernels_on(np) if kernel.name == "im2col"]
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


OF_SOURCES = ("cuda", "philox")  # kernels that launch


@pytest.fixture
def all_in_force(monkeypatch):
    """The engine runs all kernels of the GPU that support float32, on the emulated device."""
    if not available():
        pytest.skip("g++ is not installed: CUDA sources are not run on the CPU")
    offered = [kernel for kernel in kernels_on(np) if kernel.name in OF_SOURCES]
    ran = []

    def traced(kernel):
        def run(*arrays, **params):
            ran.append(kernel.op)
            return kernel.run(*arrays, **params)

        return kernel._replace(run=run)

    traced_kernels = [traced(kernel) for kernel in offered]
    monkeypatch.setattr(execute, "_calls", {})
    monkeypatch.setattr(
        tg.plugins, "kernels_for", lambda backend, op: [k for k in traced_kernels if k.op == op]
    )
    return ran


WITH_KERNEL = {kernel.op for kernel in kernels_on(np) if kernel.name in OF_SOURCES}


def single(x):
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype == np.float64 else x


def value_and_gradients(case, call, convert):
    """What the case gives, and the gradients of its sum with weights in the floating inputs."""
    tensors = [tg.tensor(convert(x)) for x in case.inputs]
    floating = [x for x in tensors if x.dtype.startswith("float")]
    for x in floating:
        x.requires_grad = True
    out = call(*tensors, **case.params)
    if not case.order or case.kink:
        return [out.numpy()]
    weights = np.cos(np.arange(out.size)).reshape(out.shape)
    return [out.numpy(), *[g.numpy() for g in tg.grad(out, floating, tg.tensor(convert(weights)))]]


@pytest.mark.slow  # g++ compiles some seventy kernels, once
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_suites_samples_in_float32(all_in_force):
    """Values beside the oracles', and gradients beside those of float64, which no kernel here
    supports: the portable ones run."""
    tried = set()
    for case in ALL:
        if case.op in ("uniform", "normal"):  # which draw other numbers in float64
            continue
        call = case.call or getattr(tg.ops, case.op)
        all_in_force.clear()
        try:
            found = value_and_gradients(case, call, single)
        except tg.errors.DtypeError:  # the case is about float64
            continue
        if not all_in_force:
            continue
        tried.update(all_in_force)
        wanted = value_and_gradients(case, call, np.asarray)
        for got, want in zip(found, [case.oracle(*case.inputs), *wanted[1:]]):
            size = np.max(np.abs(want), initial=1, where=np.isfinite(want))
            limits = {"rtol": 2 * case.tolerance, "atol": 2 * case.tolerance * size}
            np.testing.assert_allclose(got, want, **limits, err_msg=str(case))
    assert tried >= WITH_KERNEL - {"max_pool_pick"}, WITH_KERNEL - tried


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
        if name in {kernel.op for kernel in kernels_on(cupy)}:  # CuPy spells it otherwise
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

    for kernel in kernels_on(np):
        assert parameters(kernel.run) == parameters(getattr(tg.ops, kernel.op)), kernel.name
