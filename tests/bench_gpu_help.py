"""A rehearsal of bench/gpu.py for tests, and what it leaves as it was."""

import contextlib
import importlib.util
import time

import pytest
from emulated_device import available

import tensorgraph as tg
from bench.cuda import setting

emulates = pytest.mark.skipif(not available(), reason="g++ is not installed")
peers = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (extra peers)"
)


@contextlib.contextmanager
def rehearsing(monkeypatch):
    """A setting; the emulated backend is gone in the end."""
    monkeypatch.setitem(tg.plugins._backends, "cupy", tg.plugins._backends.get("cupy"))
    setting._emulated.cache_clear()
    yield setting.Setting(emulated=True, small=True, deadline=time.monotonic() + 300)
    monkeypatch.undo()
    for notify in tg.plugins.on_change:
        notify()


@contextlib.contextmanager
def switches_as_before():
    """PyTorch's, which are those of the whole process."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    owners = ((matmul, "allow_tf32"), (cudnn, "allow_tf32"), (cudnn, "benchmark"))
    before = [(owner, name, getattr(owner, name)) for owner, name in owners]
    yield
    for found in before:
        setattr(*found)
