"""On what was measured: the machine, which is compared with itself alone, and versions."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("tensorgraph", "numpy", "numba", "cupy", "cupy-cuda12x", "cupy-cuda13x")
VARIABLE = "TENSORGRAPH_NUM_THREADS"


def machine(devices: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a time depends on besides the code; ``devices``: backend → its device."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads(),
        **({"devices": dict(devices)} if devices else {}),
    }


def described() -> dict[str, Any]:
    """The walk ``machine``: on what a run was made, for whoever has to repeat it."""
    return {"machine": machine(), "versions": versions()}


def fingerprint(described: Mapping[str, Any]) -> str:
    """A short name of a machine: equal where all that ``machine`` says is equal."""
    text = json.dumps(described, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    import numpy as np

    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    built: Any = np.show_config(mode="dicts")
    blas = built["Build Dependencies"].get("blas", {})
    return {**found, "blas": f"{blas.get('name', '?')} {blas.get('version', '')}".strip()}


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many the kernels share their work among: as ``TENSORGRAPH_NUM_THREADS`` says, or as many
    as BLAS takes."""
    import numpy as np
    from threadpoolctl import threadpool_info

    if given := os.environ.get(VARIABLE):
        return int(given) if given.isascii() and given.isdigit() else cores()
    np.ones((2, 2)) @ np.ones((2, 2))  # so that BLAS is there to be asked
    return max((p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"), default=1)


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8", "replace").splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def memory_gib() -> float | None:
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    return round(int(path.read_text("ascii").split()[1]) / 2**20, 1)
