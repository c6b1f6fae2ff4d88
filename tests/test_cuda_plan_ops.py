"""The op suite's samples with their gradients, compiled for the emulated device, beside eager
NumPy."""

import numpy as np
import pytest
from op_cases import ALL
from op_steps import LEFT_OUT, given, rolled, step_of
from test_cuda_plan import available, emulated  # noqa: F401

import tensorgraph as tg


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
            for inputs in (None, rolled(case.inputs), None):  # by itself, then as a graph
                found = compiled(*given(case, inputs))
        for x, y in zip(want, found, strict=True):
            x, y = np.asarray(x.numpy()), np.asarray(y.numpy())
            assert (x.shape, x.dtype) == (y.shape, y.dtype), str(case)
            size = np.max(np.abs(x), initial=1, where=np.isfinite(x))
            limit = max(8 * case.tolerance, 5e-6)
            np.testing.assert_allclose(y, x, rtol=limit, atol=limit * size, err_msg=str(case))
        tried += 1
    assert tried > 300
