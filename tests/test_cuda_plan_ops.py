"""The op suite's samples with their gradients, compiled for the emulated device, beside eager
NumPy."""

import numpy as np
import pytest
from op_cases import ALL
from test_cuda_plan import available, emulated  # noqa: F401

import tensorgraph as tg

LEFT_OUT = ("uniform", "normal", "argsort")  # drawn anew; NumPy's is not stable, CuPy's is


def given(case):
    arrays = [np.asarray(x) for x in case.inputs]
    tensors = [tg.tensor(x.astype(np.float32) if x.dtype == np.float64 else x) for x in arrays]
    for x in tensors:
        x.requires_grad = x.dtype.startswith("float")
    return tensors


def step_of(case):
    """The op, and the gradients of its sum with weights in the floating inputs."""
    call = case.call or getattr(tg.ops, case.op)

    def step(*tensors):
        out = call(*tensors, **case.params)
        if not case.order or case.kink:
            return [out]
        floating = [x for x in tensors if x.requires_grad]
        return [out, *tg.grad((out * out).sum(), floating)]

    return step


@pytest.mark.slow  # g++ compiles some hundreds of chains, once
@pytest.mark.skipif(not available(), reason="g++ is not installed")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_suites_samples(emulated):  # noqa: F811
    tried = 0
    for case in ALL:
        step = step_of(case)
        try:
            want = step(*given(case))
        except (tg.errors.DtypeError, tg.errors.GradientError):  # made for float64, or for no graph
            continue
        if case.op in LEFT_OUT or "float16" in str(case):
            continue
        with tg.use(backend="cupy"):
            compiled = tg.compile(step)
            for _ in range(2):  # by itself, then as a graph
                found = compiled(*given(case))
        for x, y in zip(want, found, strict=True):
            x, y = np.asarray(x.numpy()), np.asarray(y.numpy())
            assert (x.shape, x.dtype) == (y.shape, y.dtype), str(case)
            size = np.max(np.abs(x), initial=1, where=np.isfinite(x))
            limit = max(8 * case.tolerance, 5e-6)
            np.testing.assert_allclose(y, x, rtol=limit, atol=limit * size, err_msg=str(case))
        tried += 1
    assert tried > 300
