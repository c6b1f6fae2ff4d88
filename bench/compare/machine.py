"""On what it was measured: processor, cores, versions."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np


def machine(threads: int) -> dict[str, Any]:
    """The figures of a comparison mean nothing without these."""
    blas: Any = np.show_config(mode="dicts")
    blas = blas["Build Dependencies"]["blas"]
    return {
        "processor": processor(),
        "threads": threads,
        "memory_gib": memory_gib(),
        "system": platform.system(),
        "python": sys.version.split()[0],
        "numpy": metadata.version("numpy"),
        "blas": f"{blas['name']} {blas['version']}",
    }


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
