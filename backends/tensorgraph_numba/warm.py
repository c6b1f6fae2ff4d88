"""Compiling kernels ahead, in processes of their own, for the cache on disk.

``python -m tensorgraph_numba.warm kernel@dtype …``; ``tensorgraph warm-up`` compiles all.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from tensorgraph_numba import kernels, native, objects
from tensorgraph_numba.kernels import choice, program
from tensorgraph_numba.kernels.tile_code import Shape
from tensorgraph_numba.vector import unit


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
    return native.cached(*kernel_of(name))


def folder() -> str:
    """Where native code is kept."""
    return str(objects.folder())


def name_of(kernel: native.Kernel, dtype: str) -> str:
    return f"{kernel.name}@{dtype}"


class Builder:
    """Compiles kernels in one other process at a time, each once, beside the work of this one."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.asked: set[str] = set()
        self.waiting: list[str] = []
        self.started = 0.0
        self.failed = False

    def ask(self, names: Iterable[str]) -> None:
        """Compile these too, after those that were asked for before."""
        self.waiting += [name for name in names if name not in self.asked]
        self.asked.update(self.waiting)
        self.done()

    def done(self) -> bool:
        """Whether all that was asked for is compiled, or could not be."""
        if self.process is not None:
            if (status := self.process.poll()) is None:
                return False
            self.process, self.failed = None, self.failed or status != 0
            if not self.waiting:
                self._say()
        elif self.waiting:
            self.started = time.monotonic()
        if self.waiting:
            self.process, self.waiting = _start(self.waiting), []
        return self.process is None

    def _say(self) -> None:
        seconds = time.monotonic() - self.started
        said = (
            "kernels could not be compiled; 'tensorgraph warm-up' says why"
            if self.failed
            else f"kernels were compiled beside the run in {seconds:.0f} s, and kept for the next"
        )
        print(f"tensorgraph: {said}", file=sys.stderr)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()


BUILDER = Builder()
atexit.register(BUILDER.stop)


def _start(names: Iterable[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TENSORGRAPH_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tensorgraph_numba.warm", *names]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment)


def build(names: Iterable[str]) -> None:
    """Compile kernels, or find them in the cache."""
    for name in names:
        native.address(*kernel_of(name))


if __name__ == "__main__":
    build(sys.argv[1:])
