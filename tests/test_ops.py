"""Every op on every backend: forward against an independent oracle, gradients to order 2."""

import inspect

import numpy as np
import pytest
from op_cases import ALL

import tensorgraph as tg
from tensorgraph.backend import ABSTRACT
from tensorgraph.testing import gradcheck

try:
    import torch
except ImportError:
    torch = None

FLOATS = ("float32", "float64")
by_case = pytest.mark.parametrize("case", ALL, ids=str)


def call(case, *inputs):
    backend, dtype = tg.config.get_backend(), case.params.get("dtype", "float32")
    if not hasattr(backend.xp, dtype):
        pytest.skip(f"backend {backend.name!r} has no {dtype}")
    if case.call is not None:
        return case.call(*inputs, **case.params)
    return getattr(tg.ops, case.op)(*inputs, **case.params)


def typed(x, dtype):
    x = np.asarray(x)
    return x.astype(dtype) if x.dtype.kind == "f" else x


def scattered(x):
    """The same values in memory that is neither contiguous nor in order."""
    if not x.ndim:
        return x
    wide = np.empty([2 * n for n in x.shape], x.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    return view


@by_case
@pytest.mark.parametrize("dtype", FLOATS)
def test_forward(backend, case, dtype):
    tolerance = 1e-10 if dtype == "float64" else case.tolerance
    inputs = [typed(x, dtype) for x in case.inputs]
    want = np.asarray(case.oracle(*inputs))
    with tg.use(dtype=dtype):
        out = call(case, *map(tg.tensor, inputs))
        abstract = call(case, *[tg.Tensor(None, ABSTRACT, tg.tensor(x).spec) for x in inputs])
    got = out.numpy()
    assert out.shape == got.shape == want.shape, "the shape rule, the array and the oracle differ"
    assert out.dtype == str(got.dtype), "the shape rule and the array differ in dtype"
    assert abstract.spec == out.spec, "shaped without data, the op gives another spec"
    if want.dtype.kind == "f":
        assert out.dtype == case.params.get("dtype", dtype), "the dtype was not preserved"
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@by_case
def test_non_contiguous_input(backend, case):
    if not any(np.ndim(x) for x in case.inputs):
        pytest.skip("scalars have no layout")
    arrays = [np.asarray(x) for x in case.inputs]
    plain = [tg.tensor(x) for x in arrays]
    loose = [tg.tensor(x) for x in arrays]
    if backend.name == "numpy":
        for t, x in zip(loose, arrays, strict=True):
            t.data = scattered(x)
    want, got = call(case, *plain).numpy(), call(case, *loose).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", [c for c in ALL if c.order and not c.kink], ids=str)
def test_gradients(backend, case):
    gradcheck(lambda *xs: call(case, *xs), case.inputs, order=case.order, tolerance=1e-5)


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
@pytest.mark.parametrize("case", [c for c in ALL if c.torch], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_against_pytorch(backend, case, dtype):
    tolerance = 1e-9 if dtype == "float64" else 10 * case.tolerance
    arrays = [typed(x, dtype) for x in case.inputs]
    ours = [tg.tensor(x) for x in arrays]
    theirs = [torch.tensor(x) for x in arrays]
    if case.order:
        for x, y in zip(ours, theirs, strict=True):
            if y.is_floating_point():
                x.requires_grad = True
                y.requires_grad = True
    out, want = call(case, *ours), case.torch(*theirs)
    np.testing.assert_allclose(out.numpy(), want.detach().numpy(), rtol=tolerance, atol=tolerance)
    if not case.order or not out.size:
        return
    seed = np.random.default_rng(0).standard_normal(out.shape).astype(out.dtype)
    out.backward(tg.tensor(seed))
    want.backward(torch.tensor(seed))
    for x, y in zip(ours, theirs, strict=True):
        if y.grad is not None:
            got = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
            np.testing.assert_allclose(got, y.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sorted(tg.plugins.ops))
def test_every_op_is_documented_and_has_a_case(name):
    thing = tg.plugins.ops[name]
    assert thing.__doc__, f"{name} has no documentation"
    assert thing.__name__ == name
    assert any(c.op == name for c in ALL), f"no case in tests/op_cases for {name}"


@pytest.mark.parametrize("name", [n for n, t in tg.plugins.ops.items() if isinstance(t, tg.Op)])
def test_kernels_have_the_signature_of_their_op(backend, name):
    op = tg.plugins.ops[name]

    def parameters(fn):
        return [
            (p.name, p.kind is p.KEYWORD_ONLY) for p in inspect.signature(fn).parameters.values()
        ]

    own = [k for k in backend.kernels if k.op == name]
    assert op.portable is not None or own, f"{name} has no kernel on {backend.name}"
    for kernel in own:
        assert parameters(kernel.run) == parameters(op.shape_rule), kernel.name
