"""On what it was measured: processor, cores, versions."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

import numpy as np
from tensorgraph_bench.machine import memory_gib, processor


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
