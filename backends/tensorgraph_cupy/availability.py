"""Finds out whether CuPy can work on this machine, and says what is missing where it cannot."""

from __future__ import annotations

import os
import sys
from typing import Any

from tensorgraph.errors import BackendError
from tensorgraph_cupy.lib import EXTRA, first_line, loading

ELSE = "or choose backend 'numpy'"


def load() -> Any:
    """The module cupy, once it is clear that it works here.

    Looked at in turn: package, driver, GPU, run-time compiler, cuBLAS, a first product on the GPU.
    Raises ``BackendError`` with what is missing and what to do; "backend 'cupy' is not available
    here" is put before it.
    """
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise BackendError(f"the package cupy lacks {error.name!r}; {EXTRA}") from error
        raise BackendError(f"the package cupy is not installed; {EXTRA}, {ELSE}") from error
    except ImportError as error:
        raise BackendError(
            f"the package cupy cannot be imported: {first_line(error)}; install it anew: "
            "pip install --force-reinstall cupy-cuda13x"
        ) from error
    _check_driver(cupy.cuda.runtime)
    _check_devices(cupy.cuda.runtime)
    _check_libraries(cupy)
    try:
        if float((cupy.ones((2, 2), "float32") @ cupy.ones((2, 2), "float32")).sum()) != 8:
            raise ArithmeticError("the product of two matrices is wrong")
    except Exception as error:
        raise BackendError(
            f"there is a GPU, but a first product on it failed: {type(error).__name__}: "
            f"{first_line(error)}; nvidia-smi shows whether it is healthy and has memory left, "
            f"{ELSE}"
        ) from error
    return cupy


def check() -> list[tuple[str, str]]:
    """What ``tensorgraph doctor`` says of each GPU, or why there is none to work with, and of the
    libraries that the backend uses where they are here."""
    try:
        cupy = load()
    except BackendError as error:
        found = [("gpu", f"none to work with: {error}")]
        return [*found, *loading.rows()] if sys.modules.get("cupy") else found
    runtime, compiler = cupy.cuda.runtime, ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
    driver = runtime.driverGetVersion()
    rows = []
    for number in range(runtime.getDeviceCount()):
        found = runtime.getDeviceProperties(number)
        rows.append(
            (
                "gpu",
                f"{found['name'].decode()}, {found['totalGlobalMem'] / 2**30:.0f} GiB, compute "
                f"capability {found['major']}.{found['minor']}, driver for CUDA "
                f"{driver // 1000}.{driver % 1000 // 10}",
            )
        )
    return [*rows, ("cupy", f"{cupy.__version__}, kernels by NVRTC {compiler}"), *loading.rows()]


def _check_driver(runtime: Any) -> None:
    driver = runtime.driverGetVersion()
    if driver == 0:
        raise BackendError(
            "there is no NVIDIA driver on this machine (libcuda is not found); install one that "
            f"supports CUDA 13, version 580 or later, {ELSE}"
        )
    needed = runtime.runtimeGetVersion() // 1000
    if driver // 1000 < needed:
        raise BackendError(
            f"the NVIDIA driver supports CUDA {driver // 1000}.{driver % 1000 // 10}, and CuPy "
            f"was built for CUDA {needed}; update the driver, {ELSE}"
        )


def _check_devices(runtime: Any) -> None:
    reason = ""
    try:
        found = runtime.getDeviceCount()
    except RuntimeError as error:
        found, reason = 0, f" ({first_line(error)})"
    if not found:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = "" if visible is None else f"; CUDA_VISIBLE_DEVICES={visible} may hide it"
        raise BackendError(
            f"there is an NVIDIA driver, but it shows no GPU{reason}{hidden}; nvidia-smi lists "
            f"what it sees, {ELSE}"
        )


def _check_libraries(cupy: Any) -> None:
    """What CuPy itself looks for only when the first kernel and the first product run."""
    try:
        cupy.cuda.nvrtc.getVersion()
    except (ImportError, RuntimeError, AttributeError) as error:
        raise BackendError(
            f"NVRTC, which compiles CuPy's kernels, is missing (nvidia-cuda-nvrtc): {EXTRA}; "
            f"{first_line(error)}"
        ) from error
    try:
        _ = cupy.cuda.cublas  # CuPy imports it when it is asked for
    except (ImportError, RuntimeError, AttributeError) as error:
        raise BackendError(
            f"cuBLAS, which multiplies matrices, is missing (nvidia-cublas): {EXTRA}; "
            f"{first_line(error)}"
        ) from error
