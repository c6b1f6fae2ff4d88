"""Compiling kernels ahead, in processes of their own, for the cache on disk.

``python -m tensorgraph_numba.warm [kernel@dtype …]``: those, or all of them in float32.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterable

from tensorgraph_numba import kernels, native

NICENESS = 10  # compiling leaves the processor to the work that it is for


def all_kernels() -> list[str]:
    """The names of all kernels."""
    for module in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        importlib.import_module(module.name)
    return list(native.KERNELS)


def name_of(kernel: object, dtype: str) -> str:
    found = next(name for name, known in native.KERNELS.items() if known is kernel)
    return f"{found}@{dtype}"


def start(names: Iterable[str]) -> subprocess.Popen[bytes]:
    """Begin to compile kernels in another process, which ends with this one."""
    environment = {**os.environ, "TENSORGRAPH_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tensorgraph_numba.warm", *names]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment)


def main(names: list[str]) -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    for name in names or [f"{kernel}@float32" for kernel in all_kernels()]:
        place, _, dtype = name.partition("@")
        module, _, function = place.rpartition(".")
        where = importlib.import_module(module)
        kernel = getattr(where, function, None) or where.kernel_named(function)
        native.address(kernel, dtype)


if __name__ == "__main__":
    main(sys.argv[1:])
