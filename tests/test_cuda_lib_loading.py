"""What is said of each library that is missing, and how those that are there are loaded."""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from emulated_device import EmulatedDevice
from tensorgraph_cupy.kernels import kernels_for
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.lib import MissingError, cublaslt, cudnn, loading
from tensorgraph_cupy.lib.header import SIGNATURES
from test_cupy_without_gpu import BROKEN

import tensorgraph as tg
from tensorgraph.errors import BackendError


class Library:
    """Stands for a shared library: any function, each of which returns 130_102."""

    def __init__(self, path, mode=0):
        self._name = path  # as of ctypes.CDLL

    def __getattr__(self, name):
        def function(*arguments):
            return 130_102

        setattr(self, name, function)
        return function


@pytest.fixture
def machine(monkeypatch):
    """Pretends that all is installed; a test takes from it what is to be missing."""

    class Machine:
        def __init__(self):
            self.missing, self.loaded = (), []
            self.frontend = types.ModuleType("cudnn")

        def load(self, name):
            if name in self.missing:
                raise RuntimeError(f'Failure finding "lib{name}.so"\nand where it looked')
            self.loaded.append(name)
            return types.SimpleNamespace(abs_path=f"/wheels/lib{name}.so")

    found = Machine()
    found.frontend.__version__ = "1.24.1"
    found.frontend.backend_version = lambda: 91900
    found.frontend.pygraph = object
    finder = types.ModuleType("cuda.pathfinder")
    finder.load_nvidia_dynamic_lib = found.load
    for name, module in {
        "cuda": types.ModuleType("cuda"),
        "cuda.pathfinder": finder,
        "cudnn": found.frontend,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(loading.ctypes, "CDLL", Library)
    monkeypatch.setattr(loading, "FOUND", {})
    return found


def test_libraries_are_loaded_in_the_order_in_which_they_need_each_other(machine):
    assert cudnn.open(EmulatedDevice()).version == 91900
    assert machine.loaded == ["cudart", "nvrtc", "cublasLt", "cudnn"]
    assert cublaslt.open(EmulatedDevice()).version == 130_102
    assert machine.loaded[4:] == ["cublasLt"]
    cublaslt.open(EmulatedDevice())
    assert len(machine.loaded) == 5, "each is looked for once"
    declared = loading.cublaslt()
    assert all(getattr(declared, name).argtypes == kinds for name, kinds in SIGNATURES.items())


WITHOUT = {
    "cublasLt": ("nvidia-cublas", cublaslt, "cannot be captured into a CUDA graph"),
    "cudart": ("nvidia-cuda-runtime", cudnn, "convolutions gather their windows"),
    "nvrtc": ("nvidia-cuda-nvrtc", cudnn, "convolutions gather their windows"),
    "cudnn": ("nvidia-cudnn-cu13", cudnn, "convolutions gather their windows"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_missing_library(machine, name):
    package, module, without = WITHOUT[name]
    machine.missing = (name,)
    with pytest.raises(MissingError) as caught:
        module.open(EmulatedDevice())
    text = str(caught.value)
    start = f"{name} (the package {package}) cannot be loaded: pip install 'tensorgraph[cuda]' brin"
    assert text.startswith(start)
    assert without in text and text.endswith(f'Failure finding "lib{name}.so"')
    assert isinstance(caught.value, BackendError)


def test_cudnn_is_never_loaded_without_cublaslt(machine):
    """It would abort the process."""
    machine.missing = ("cublasLt",)
    with pytest.raises(MissingError, match=r"^cublasLt"):
        cudnn.open(EmulatedDevice())
    assert "cudnn" not in machine.loaded


def test_what_is_missing_is_looked_for_once(machine):
    machine.missing = ("cudnn",)
    for _ in range(3):
        with pytest.raises(MissingError, match=r"^cudnn"):
            cudnn.open(EmulatedDevice())
    assert machine.loaded == ["cudart", "nvrtc", "cublasLt"]


@pytest.mark.parametrize("before", [None, "/somewhere"])
def test_the_frontend_takes_the_cudnn_that_is_loaded(machine, monkeypatch, before):
    """It looks there first, and all is as before when it has."""
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    if before:
        monkeypatch.setenv("LD_LIBRARY_PATH", before)
    seen = []

    def imported(name):
        seen.append(os.environ["LD_LIBRARY_PATH"])
        if len(seen) == 1:
            raise ImportError("broken")
        return machine.frontend

    monkeypatch.setattr(loading.importlib, "import_module", imported)
    for _ in range(2):
        loading.FOUND.clear()
        with contextlib.suppress(MissingError):
            loading.cudnn()
        assert os.environ.get("LD_LIBRARY_PATH") == before
    assert seen == ["/wheels:/somewhere" if before else "/wheels"] * 2


def test_a_missing_finder(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    with pytest.raises(MissingError, match=r"cublasLt \(the package nvidia-cublas\) cannot be"):
        cublaslt.open(EmulatedDevice())


def test_a_missing_frontend(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(MissingError, match=r"nvidia-cudnn-frontend, through .* cannot be imported"):
        cudnn.open(EmulatedDevice())


@pytest.mark.parametrize("version", ["1.23.9", "1.28.0", "1.32.0", "2.0"])
def test_another_frontend(machine, version):
    machine.frontend.__version__ = version
    message = f"cudnn-frontend is {version}, and 1.24 or later, before 1.28, is needed: pip install"
    with pytest.raises(MissingError, match=message):
        cudnn.open(EmulatedDevice())
    machine.frontend.__version__ = "1.27.0"
    loading.FOUND.clear()
    assert cudnn.open(EmulatedDevice()).version == 91900


def test_the_page_quotes_what_is_said(machine, monkeypatch):
    texts = [text for _, text in BROKEN.values()]
    texts[1:1] = [f"backend 'cupy' is not available here: {text}" for text in texts]
    texts += ["precision 'bfloat16': the package ml_dtypes is not installed"]  # tested below
    for name, (_, module, _) in WITHOUT.items():
        machine.missing = (name,)
        with pytest.raises(MissingError) as caught:
            module.open(EmulatedDevice())
        texts.append(str(caught.value))
        loading.FOUND.clear()
    machine.missing = ()
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(MissingError) as caught:
        cudnn.open(EmulatedDevice())
    page = Path(__file__).parent.parent.joinpath("docs", "gpu.md").read_text("utf-8")
    table = page[page.index("| part |") : page.index("The libraries are loaded")]
    quotes = re.findall(r'"([^"]{20,})"', table)
    assert len(quotes) == 9
    for quote in quotes:
        assert any(quote in text for text in [*texts, str(caught.value)]), quote


def test_kernels_are_those_of_what_is_there(machine):
    def names(missing):
        machine.missing = missing
        loading.FOUND.clear()
        opened = {"cublaslt": cublaslt.open, "cudnn": cudnn.open}
        kernels = kernels_for(Arrays(np, EmulatedDevice(opened)))
        return [k.name for op in ("matmul", "conv", "conv_weight") for k in kernels if k.op == op]

    assert names(()) == ["cublaslt", "cudnn", "im2col", "cudnn", "im2col"]
    assert names(("cudnn",)) == ["cublaslt", "windows", "im2col", "windows", "im2col"]
    assert names(("cublasLt",)) == ["im2col", "im2col"]


def test_what_doctor_says(machine, monkeypatch):
    have = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ml_dtypes" else have(name)
    )
    assert loading.rows() == [
        ("cuBLASLt", "13.1.2: matrix products, captured ones too"),
        ("cuDNN", "9.19.0, by its frontend 1.24.1: convolutions"),
        (
            "bfloat16",
            "missing: the package ml_dtypes is not installed: pip install 'tensorgraph[cuda]' "
            "brings it; without it there is no precision 'bfloat16', but 'tf32' is",
        ),
    ]
    machine.missing = ("cublasLt",)
    loading.FOUND.clear()
    (_, first), (_, second), _ = loading.rows()
    assert first.startswith("missing: cublasLt (the package nvidia-cublas)")
    assert second.startswith("missing: cublasLt (the package nvidia-cublas)")


def test_bfloat16_without_its_dtype(monkeypatch):
    from tensorgraph_cupy.kernels.precision import factor

    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with tg.use(precision="bfloat16"):
        message = "precision 'bfloat16': the package ml_dtypes is not installed; pip install"
        with pytest.raises(BackendError, match=message):
            factor(np.ones(2, "float32"))
        assert factor(np.ones(2)).dtype == "float64"


def test_the_frontend_does_not_bring_torch(tmp_path):
    """It imports PyTorch where that is installed, which takes seconds; nor is it broken for those
    who import it afterwards."""
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "cudnn.py").write_text(
        "import sys\ntry:\n    import torch\n    found = True\nexcept ImportError:\n"
        "    found = False\n"
    )
    code = (
        "from tensorgraph_cupy.lib import loading\n"
        "with loading._without_torch():\n    import cudnn\n"
        "assert not cudnn.found\nimport torch, sys\nassert sys.modules['torch'] is torch\n"
        "with loading._without_torch():\n    import torch as again\nassert again is torch\n"
    )
    path = [str(tmp_path), *sys.path]
    run = f"import sys\nsys.path[:] = {path!r}\n{code}"
    subprocess.run([sys.executable, "-c", run], check=True)
