"""Finds cuBLASLt and cuDNN on first use, and says of each missing part what it is and what to do.

The CUDA wheels lie beside each other in site-packages, where the system's loader does not look, and
cuDNN aborts the process where it does not find cuBLASLt. So the libraries are loaded by their full
paths, in the order in which they need each other, before anything that looks for them itself. What
somebody else has loaded already, as PyTorch does on import, is what is used: two copies of cuDNN in
a process share the parts of the first, which may be of another version.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tensorgraph_cupy.lib import EXTRA, MissingError, first_line
from tensorgraph_cupy.lib.header import declare

PRODUCTS = (
    "without it products are CuPy's own, by cuBLAS, which cannot be captured into a CUDA graph"
)
CONVOLUTIONS = (
    "without it convolutions gather their windows and multiply matrices, which works, and is slower"
)
FRONTEND = (1, 24), (1, 28)  # from, and before: its graphs were rewritten in 1.29


FOUND: dict[str, Any] = {}  # each library, or the error of the one time it was looked for


def cublaslt() -> Any:
    """The library, its functions declared."""
    return _once("cublaslt", lambda: declare(_library("cublasLt", "nvidia-cublas", PRODUCTS)))


def cudnn() -> Any:
    """cuDNN behind its frontend, loaded after the libraries that it needs."""
    return _once("cudnn", _load_cudnn)


def _once(name: str, load: Callable[[], Any]) -> Any:
    if name not in FOUND:
        try:
            FOUND[name] = load()
        except MissingError as error:
            FOUND[name] = error
    found = FOUND[name]
    if isinstance(found, MissingError):
        raise MissingError(*found.args)
    return found


def _load_cudnn() -> Any:
    _library("cudart", "nvidia-cuda-runtime", CONVOLUTIONS)
    _library("nvrtc", "nvidia-cuda-nvrtc", CONVOLUTIONS)
    _library("cublasLt", "nvidia-cublas", CONVOLUTIONS)
    found = _library("cudnn", "nvidia-cudnn-cu13", CONVOLUTIONS)
    try:
        with _without_torch(), _looked_for_first(Path(found._name).parent):
            frontend = importlib.import_module("cudnn")
    except ImportError as error:
        raise MissingError(
            f"the package nvidia-cudnn-frontend, through which cuDNN is called, cannot be imported "
            f"({first_line(error)}): {EXTRA}; {CONVOLUTIONS}"
        ) from error
    version = getattr(frontend, "__version__", "0")
    low, high = FRONTEND
    if not low <= tuple(map(int, version.split(".")[:2])) < high:
        raise MissingError(
            f"the package nvidia-cudnn-frontend is {version}, and {_text(low)} or later, before "
            f"{_text(high)}, is needed: {EXTRA}; {CONVOLUTIONS}"
        )
    return frontend


def rows() -> list[tuple[str, str]]:
    """What ``tensorgraph doctor`` says of each: its version, or what is missing."""
    found = []
    for name, load in (("cuBLASLt", _cublaslt_text), ("cuDNN", _cudnn_text)):
        try:
            found.append((name, load()))
        except MissingError as error:
            found.append((name, f"missing: {error}"))
    if importlib.util.find_spec("ml_dtypes") is None:
        text = f"missing: the package ml_dtypes is not installed: {EXTRA}; without it there is no"
        found.append(("bfloat16", f"{text} precision 'bfloat16', but 'tf32' is"))
    return found


def _cublaslt_text() -> str:
    return f"{_dotted(int(cublaslt().cublasLtGetVersion()))}: matrix products, captured ones too"


def _cudnn_text() -> str:
    frontend = cudnn()
    version = _dotted(int(frontend.backend_version()))
    return f"{version}, by its frontend {frontend.__version__}: convolutions"


def _dotted(version: int) -> str:
    return f"{version // 10_000}.{version // 100 % 100}.{version % 100}"


def _library(name: str, package: str, without: str) -> Any:
    """A shared library of the CUDA wheels or of an installed toolkit."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        path = load_nvidia_dynamic_lib(name).abs_path
        return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingError(
            f"{name} (the package {package}) cannot be loaded: {EXTRA}; {without}; "
            f"{first_line(error)}"
        ) from error


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """The frontend imports PyTorch where it is installed, which takes seconds: kept from it."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # Python's way to say "not here"
    try:
        yield
    finally:
        del sys.modules["torch"]


@contextlib.contextmanager
def _looked_for_first(folder: Path) -> Iterator[None]:
    """The frontend loads the cuDNN of its own folder of packages, unless this names another."""
    name = "LD_LIBRARY_PATH"
    before = os.environ.get(name)
    os.environ[name] = os.pathsep.join(filter(None, (str(folder), before)))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
