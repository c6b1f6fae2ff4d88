"""What of the CuPy backend can be tested without a GPU: what it says where it is not available, the
choice between it and NumPy, its dtypes. Its kernels are tested in test_cupy_kernels.py."""

import importlib
import sys
import types

import numpy as np
import pytest
from tensorgraph_cupy import availability
from tensorgraph_cupy.backend import DTYPES, CupyBackend
from tensorgraph_cupy.lib import loading

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import BackendError, DtypeError


class CudaError(RuntimeError):
    """Stands for CuPy's CUDARuntimeError."""


def fail(error):
    def raises(*args):
        raise error

    return raises


def numpy_posing_as_cupy(driver=13000, devices=1, nvrtc=lambda: (13, 0), cublas=True, product=None):
    """A module "cupy" that computes with NumPy: for control flow only, no test of the GPU."""

    class Cuda:
        nvrtc: types.SimpleNamespace
        runtime = types.SimpleNamespace(
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: 13020,
            getDeviceCount=devices if callable(devices) else lambda: devices,
        )
        synchronized = 0

        def __getattr__(self, name):
            if name == "cublas" and not cublas:
                raise ImportError("libcublas.so.13: cannot open shared object file")
            return types.SimpleNamespace()

        def Device(self):  # noqa: N802  CuPy's name
            Cuda.synchronized += 1
            return types.SimpleNamespace(synchronize=lambda: None)

    module = types.ModuleType("cupy")
    module.__dict__.update({k: v for k, v in vars(np).items() if not k.startswith("_")})
    module.__version__ = "14.2.0"
    module.ndarray = type("ndarray", (), {})
    module.asnumpy = np.asarray
    module.cuda = Cuda()
    module.cuda.nvrtc = types.SimpleNamespace(getVersion=nvrtc)
    if product is not None:
        module.ones = fail(product)
    return module


@pytest.fixture
def pretend(monkeypatch):
    """Put a module, or None for a missing one, in place of cupy."""
    return lambda module: monkeypatch.setitem(sys.modules, "cupy", module)


BROKEN = {
    "package": (
        None,
        "the package cupy is not installed; pip install 'tensorgraph[cuda]' brings it",
    ),
    "driver": (
        numpy_posing_as_cupy(driver=0),
        "there is no NVIDIA driver on this machine (libcuda is not found); install one",
    ),
    "old driver": (
        numpy_posing_as_cupy(driver=12040),
        "the NVIDIA driver supports CUDA 12.4, and CuPy was built for CUDA 13; update the driver",
    ),
    "no device": (
        numpy_posing_as_cupy(devices=fail(CudaError("cudaErrorNoDevice: no device"))),
        "there is an NVIDIA driver, but it shows no GPU (cudaErrorNoDevice: no device); nvidia-smi",
    ),
    "zero devices": (
        numpy_posing_as_cupy(devices=0),
        "there is an NVIDIA driver, but it shows no GPU; nvidia-smi lists what it sees",
    ),
    "nvrtc": (
        numpy_posing_as_cupy(nvrtc=fail(RuntimeError('Failure finding "libnvrtc.so.13"\nmore'))),
        "NVRTC, which compiles CuPy's kernels, is missing (nvidia-cuda-nvrtc): pip install "
        "'tensorgraph[cuda]' brings it; Failure finding \"libnvrtc.so.13\"",
    ),
    "cublas": (
        numpy_posing_as_cupy(cublas=False),
        "cuBLAS, which multiplies matrices, is missing (nvidia-cublas)",
    ),
    "memory": (
        numpy_posing_as_cupy(product=MemoryError("out of memory")),
        "there is a GPU, but a first product on it failed: MemoryError: out of memory; nvidia-smi",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_missing_is_said(what, pretend):
    module, message = BROKEN[what]
    pretend(module)
    plugins = tg.discovery.Plugins()
    plugins.register(importlib.import_module("tensorgraph_cupy"), "cupy")
    with pytest.raises(BackendError) as caught:
        plugins.backend("cupy")
    text = str(caught.value)
    assert text.startswith(f"backend 'cupy' is not available here: {message}"), text
    assert "\n" not in text
    if what not in ("package", "nvrtc", "cublas"):
        assert text.endswith("or choose backend 'numpy'")


def test_a_package_that_cannot_be_imported(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcuda_shim.so: wrong ELF class')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    says = r"cannot be imported: libcuda_shim.*--force-reinstall cupy-cuda13x$"
    with pytest.raises(BackendError, match=says):
        availability.load()
    (tmp_path / "cupy.py").write_text("import fastrlock_that_is_not_here")
    with pytest.raises(BackendError, match="lacks 'fastrlock_that_is_not_here'; pip install"):
        availability.load()


def test_hidden_devices_are_named(pretend, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    pretend(numpy_posing_as_cupy(devices=0))
    with pytest.raises(BackendError, match="CUDA_VISIBLE_DEVICES=-1 may hide it"):
        availability.load()


@pytest.fixture
def fresh(monkeypatch):
    """Plugins with the two backends, and "auto" not yet found out."""
    plugins = tg.discovery.Plugins()
    for name in ("tensorgraph_numpy", "tensorgraph_cupy"):
        plugins.register(importlib.import_module(name), name.removeprefix("tensorgraph_"))
    monkeypatch.setattr(config, "PLUGINS", plugins)
    config.explain_auto.cache_clear()
    yield plugins
    config.explain_auto.cache_clear()


def test_auto_takes_cupy_where_a_gpu_answers(fresh, pretend):
    pretend(numpy_posing_as_cupy())
    assert config.explain_auto() == ("cupy", "auto, because a GPU answers")
    assert config.get_backend("auto").name == "cupy"


def test_auto_takes_numpy_elsewhere_and_says_why(fresh, pretend):
    pretend(numpy_posing_as_cupy(driver=0))
    with tg.use(backend="auto"):
        assert config.get_backend().name == "numpy"
    value, reason = config.explain_auto()
    assert value == "numpy"
    assert reason.startswith("auto, because backend 'cupy' is not available here: there is no NV")


def test_auto_without_any_backend(monkeypatch):
    monkeypatch.setattr(config, "PLUGINS", tg.discovery.Plugins())
    config.explain_auto.cache_clear()
    with pytest.raises(BackendError, match="'auto': none is available here: no backend is named"):
        config.explain_auto()


def test_use_of_a_missing_backend_fails_at_once(fresh, pretend):
    pretend(None)
    before = config.current()
    with pytest.raises(BackendError, match="the package cupy is not installed"):
        tg.use(backend="cupy")
    assert config.current() is before


@pytest.fixture
def posing(pretend):
    pretend(numpy_posing_as_cupy())
    return CupyBackend()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(posing, dtype):
    given = np.array([0, 1, 1], dtype)
    array = posing.asarray(given, None)
    assert str(array.dtype) == dtype
    assert not np.shares_memory(array, given)
    assert str(posing.asarray([0, 1], dtype).dtype) == dtype


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_other_dtypes_are_refused(posing, dtype):
    for call in (
        lambda: posing.asarray([1], dtype),
        lambda: posing.asarray(np.ones(1, dtype), None),
    ):
        with pytest.raises(DtypeError, match=f"backend 'cupy': dtype {dtype} is not among bool"):
            call()


def test_arrays_come_in_by_dlpack_and_go_out(posing):
    class Exporter:
        """An array on the host that is known only by DLPack."""

        def __dlpack__(self, **options):
            return np.arange(3.0).__dlpack__(**options)

        def __dlpack_device__(self):
            return (1, 0)

    np.testing.assert_array_equal(posing.to_host(posing.asarray(Exporter(), "float32")), [0, 1, 2])
    posing.synchronize()
    assert posing.xp.cuda.synchronized == 1


def test_doctor_describes_each_gpu(monkeypatch):
    module = numpy_posing_as_cupy(devices=2)
    monkeypatch.setitem(sys.modules, "cupy", module)
    found = {"name": b"NVIDIA H200", "totalGlobalMem": 150_754_820_096, "major": 9, "minor": 0}
    module.cuda.runtime.getDeviceProperties = lambda number: found
    text = "NVIDIA H200, 140 GiB, compute capability 9.0, driver for CUDA 13.0"
    monkeypatch.setattr(loading, "rows", lambda: [("cuDNN", "9.19.0")])
    cupy = ("cupy", "14.2.0, kernels by NVRTC 13.0")
    assert availability.check() == [("gpu", text), ("gpu", text), cupy, ("cuDNN", "9.19.0")]


def test_doctor_says_why_there_is_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", numpy_posing_as_cupy(devices=0))
    monkeypatch.setattr(loading, "rows", lambda: [("cuDNN", "9.19.0")])
    (name, text), *others = availability.check()
    assert (name, others) == ("gpu", [("cuDNN", "9.19.0")])
    assert text.startswith("none to work with: there is an NVIDIA driver, but it shows no GPU")


def test_doctor_without_cupy_looks_for_nothing_more(pretend):
    pretend(None)
    ((name, text),) = availability.check()
    assert name == "gpu" and "the package cupy is not installed" in text
