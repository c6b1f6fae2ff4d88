"""Compiling kernels ahead, in processes of their own, for the cache on disk.

``python -m tensorgraph_numba.warm kernel@dtype …``; ``tensorgraph warm-up`` compiles all.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from numba import types

from tensorgraph_numba import kernels, native
from tensorgraph_numba.kernels import choice, program
from tensorgraph_numba.kernels.tile_code import Shape
from tensorgraph_numba.vector import unit

NICENESS = 10  # compiling leaves the processor to the work that it is for


def all_kernels() -> list[str]:
    """The names of all kernels."""
    for module in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        importlib.import_module(module.name)
    return list(native.KERNELS)


def tiles(dtype: str) -> list[str]:
    """The names of the tiles that products and convolutions are made of; those of depthwise ones,
    of which there is no end, are not among them."""
    whole = unit().lanes(dtype)
    widths = [(whole, n) for n in choice.WIDTHS]
    widths += [(lanes, 1) for lanes in (whole // 2, whole // 4) if lanes > 1]
    shapes = [
        Shape(rows, vectors, lanes, masked)
        for lanes, vectors in widths
        for rows in range(1, choice.most_rows(vectors) + 1)
        for masked in (False, True)
    ]
    return [name_of(program.tile_kernel(shape), dtype) for shape in shapes]


def every_name(float64: bool) -> list[str]:
    """Kernels and tiles of float32, and of float64 if they are wanted, each with its dtype."""
    named = [name for name in all_kernels() if not is_small(name)]
    names = []
    for dtype in ("float32", "float64")[: 1 + float64]:
        names += [*(f"{name}@{dtype}" for name in named), *tiles(dtype)]
    return names


def is_small(name: str) -> bool:
    """Whether a kernel is one tile, which takes 0.1 s to compile."""
    return name.startswith(f"{program.__name__}.tile_")


def kernel_of(name: str) -> tuple[Any, str]:
    """A kernel and its dtype, by the name of both."""
    place, _, dtype = name.partition("@")
    module, _, function = place.rpartition(".")
    where = importlib.import_module(module)
    return getattr(where, function, None) or where.kernel_named(function), dtype


def cached(name: str) -> bool:
    """Whether a kernel's native code is on the disk; it is not loaded."""
    kernel, dtype = kernel_of(name)
    cache, signature = kernel._cache, (types.CPointer(types.int64), native.LIKE[dtype])
    key = cache._index_key(signature, kernel.targetctx.codegen())
    return key in cache._cache_file._load_index()


def folder() -> str:
    """Where native code is kept."""
    return str(program.walk._cache.cache_path)


def name_of(kernel: object, dtype: str) -> str:
    found = next(name for name, known in native.KERNELS.items() if known is kernel)
    return f"{found}@{dtype}"


def start(names: Iterable[str]) -> subprocess.Popen[bytes]:
    """Begin to compile kernels in another process, which ends with this one."""
    environment = {**os.environ, "TENSORGRAPH_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tensorgraph_numba.warm", *names]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment)


def build(names: Iterable[str]) -> None:
    """Compile kernels, or find them in the cache."""
    for name in names:
        native.address(*kernel_of(name))


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    build(sys.argv[1:])
