"""On what is measured: the GPU or its rehearsal, versions, what is missing. In a process of its
own, so that the one that starts the sections holds no GPU."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from tensorgraph_bench.machine import cores, memory_gib, processor

import tensorgraph as tg
from bench.cuda.process import note

PACKAGES = ("numpy", "cupy-cuda13x", "ml_dtypes", "nvidia-cudnn-frontend", "torch", "triton")
WITHOUT = {
    "torch": "nothing is measured beside PyTorch",
    "pytest": "section conformance goes without the repository's tests",
}
SETTINGS = ("TENSORGRAPH_", "CUPY_", "CUDA_", "CUDNN_", "CUBLAS", "NVIDIA_TF32", "PYTORCH_")


def described(*, emulated: bool) -> dict[str, Any]:
    """Raises ``BackendError`` where there is no GPU to work with, or nothing to rehearse on."""
    found = _emulated() if emulated else _gpu()
    for package in PACKAGES:
        try:
            found["versions"].setdefault(package, metadata.version(package))
        except metadata.PackageNotFoundError:
            found["versions"].setdefault(package, None)
    found["missing"] |= {
        name: f"missing: the package is not installed; {what}"
        for name, what in WITHOUT.items()
        if find_spec(name) is None
    }
    host = {"processor": processor(), "cores": cores(), "memory_gib": memory_gib()}
    given = {k: v for k, v in os.environ.items() if k.startswith(SETTINGS) and "_BENCH_" not in k}
    return {**found, "host": host, "environment": given}


def _gpu() -> dict[str, Any]:
    from tensorgraph_cupy.lib import loading

    cupy = tg.config.get_backend("cupy").xp
    runtime = cupy.cuda.runtime
    is_ = runtime.getDeviceProperties(runtime.getDevice())
    driver = runtime.driverGetVersion()
    device = {
        "name": is_["name"].decode(),
        "memory_gib": round(is_["totalGlobalMem"] / 2**30, 1),
        "capability": f"{is_['major']}.{is_['minor']}",
        "multiprocessors": is_["multiProcessorCount"],
        "driver_for_cuda": f"{driver // 1000}.{driver % 1000 // 10}",
    }
    libraries = dict(loading.rows())
    versions = {
        "python": sys.version.split()[0],
        "NVRTC": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        **{name: text for name, text in libraries.items() if not text.startswith("missing")},
    }
    missing = {name: text for name, text in libraries.items() if text.startswith("missing")}
    return {"device": device, "versions": versions, "missing": missing}


def _emulated() -> dict[str, Any]:
    try:
        import emulated_device
        import ml_dtypes  # noqa: F401
    except ImportError as error:
        raise tg.errors.BackendError(f"a rehearsal needs the package {error.name}") from error
    if not emulated_device.available():
        raise tg.errors.BackendError("a rehearsal needs g++ on Linux, which is not here")
    device = {"name": "emulated", "what": "this machine's processor in the place of a GPU"}
    return {"device": device, "versions": {"python": sys.version.split()[0]}, "missing": {}}


def main() -> None:
    try:
        note(described(emulated="--emulated" in sys.argv[1:]))
    except tg.errors.BackendError as error:
        note({"error": str(error)})


if __name__ == "__main__":
    main()
