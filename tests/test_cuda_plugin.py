"""The CUDA kernel of a plugin, as docs/gpu-kernels.md has it, on the emulated device."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from device_arrays import DeviceArray, Module
from doc_blocks import blocks
from emulated import in_place
from emulated_device import available
from test_cuda_sources import compiled

import tensorgraph as tg
from tensorgraph.discovery import Plugins

PAGE = Path(__file__).resolve().parent.parent / "docs" / "gpu-kernels.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the pages are not here")


class Cupy(Module):
    """CuPy, whose kernels the emulated device runs."""

    def __init__(self, device):
        super().__init__()
        self.device, self.calls = device, 0

    def RawKernel(self, source, function):  # noqa: N802
        def call(grid, block, arguments):
            self.calls += 1
            given = [x.ctypes.data if isinstance(x, DeviceArray) else x for x in arguments]
            self.device.launch(source, function, grid, block, given)

        return call


@pytest.fixture
def plugin():
    """What the page's module has."""
    (code,) = (block.code for block in blocks(PAGE, "py") if "register_kernels" in block.code)
    space = {"__name__": "plugin"}
    exec(compile(code, PAGE.name, "exec"), space)
    return types.SimpleNamespace(**space)


def test_it_compiles(plugin):
    compiled(plugin.SOURCE, "running_sum.cu", "sm_90")


@pytest.mark.skipif(not available(), reason="g++ is not installed")
def test_it_runs_eagerly_and_in_a_compiled_step(plugin, monkeypatch):
    tg.plugins.load()
    plugins = Plugins()
    plugins.register(plugin, "page")
    monkeypatch.setattr(tg.plugins, "kernels_for", plugins.kernels_for)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 150), np.float32)
    want = np.cumsum(x * 2.0, axis=3, dtype=np.float64)
    with in_place() as backend, tg.use(backend="cupy"):
        cupy = Cupy(backend.device)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        step = tg.compile(lambda x: tg.ops.cumsum(x * 2, axis=3))
        close = {"rtol": 1e-4, "atol": 1e-5}
        step(tg.tensor(x))
        for _ in range(3):
            before = cupy.calls
            np.testing.assert_allclose(step(tg.tensor(x)).numpy(), want, **close)
            assert cupy.calls == before + 1
        assert "= cumsum, run by its own kernel(" in str(step.plan)
        before = cupy.calls
        np.testing.assert_allclose(tg.ops.cumsum(tg.tensor(x), axis=3).numpy(), want / 2, **close)
        assert cupy.calls == before + 1
        tg.ops.cumsum(tg.tensor(x), axis=2)  # along another axis the portable one
        assert cupy.calls == before + 1
