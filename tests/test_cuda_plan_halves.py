"""Values in 32 and in 16 bits beside each other in a step, on the emulated device."""

import numpy as np
import pytest
from emulated_device import available
from test_cuda_plan import emulated  # noqa: F401

import tensorgraph as tg

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")


def test_copies_go_from_one_dtype_of_storage_to_another(emulated):  # noqa: F811
    """Images in float32 beside what was computed of them in bfloat16."""
    random = np.random.default_rng(2)
    x, w, v = (
        random.normal(size=s).astype(np.float32) for s in ((4, 3, 6, 6), *[(3, 3, 1, 1)] * 2)
    )

    def step(x, w, v):
        pads = tg.ops.pad(tg.ops.conv(x, w), ((0, 0), (0, 0), (1, 0), (0, 1)))
        both = tg.ops.concatenate(x, pads[:, :, 1:, :-1], axis=1)
        return tg.ops.conv(both, tg.ops.concatenate(w, v, axis=1)).sum(axis=(2, 3))

    tensors = [tg.tensor(array) for array in (x, w, v)]
    want = step(*tensors).numpy()
    with tg.use(backend="cupy", precision="bfloat16"):
        compiled = tg.compile(step)
        for _ in range(2):
            got = compiled(*map(tg.tensor, (x, w, v))).numpy()
    np.testing.assert_allclose(got, want, atol=2e-2 * np.abs(want).max())
