"""The CuPy backend over a GPU that is only described: a step is recorded and planned, in its full
size, and what it would ask for is noted; nothing is computed, and no memory is taken."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from tensorgraph_cupy.backend import CupyBackend
from tensorgraph_cupy.device import Memory
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.plan.memory import aligned

import tensorgraph as tg
from tensorgraph import Kernel, Op, Spec


class Node(NamedTuple):
    """What a graph would hold: a launch, a copy, a fill, or a call of a library, which may be
    several launches of its own."""

    kind: str
    name: str


class DescribedDevice:
    """Has addresses without memory behind them; ``nodes`` are what it was asked for."""

    name = "described"
    processors = 132  # of an H200: how many blocks share a sum depends on it
    stream = 0

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._next = 256

    def allocate(self, size: int) -> Memory:
        address, self._next = self._next, self._next + aligned(size)
        return Memory(address, size)

    def pinned(self, size: int) -> Any:
        return np.empty(size, np.uint8)

    def launch(self, source: str, function: str, *_: Any, **__: Any) -> None:
        self.nodes.append(Node("launch", function))

    def copy(self, target: int, source: int, size: int) -> None:
        self.nodes.append(Node("copy", "copy"))

    def copy_in(self, target: int, host: Any) -> None:
        self.nodes.append(Node("copy", "copy_in"))

    def copy_out(self, host: Any, source: int) -> None:
        raise NotImplementedError("there are no values on a GPU that is only described")

    def fill(self, target: int, size: int, byte: int = 0) -> None:
        self.nodes.append(Node("fill", "fill"))

    def library(self, name: str) -> Any:
        return DescribedLibrary(self, name)

    def beside(self) -> DescribedDevice:
        return self

    def record(self) -> None:
        pass

    def wait(self, event: Any) -> None:
        pass

    finish = wait

    def synchronize(self) -> None:
        pass

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        work()
        return lambda: None


class DescribedLibrary(NamedTuple):
    """cuBLASLt or cuDNN, as if it had an algorithm for everything."""

    device: DescribedDevice
    name: str

    @property
    def choices(self) -> dict[Any, int]:
        """Nothing was measured."""
        return {}

    def plan(self, problem: Any) -> Any:
        return problem

    def run(self, plan: Any, *_: Any, **__: Any) -> None:
        self.device.nodes.append(Node("library", self.name))


class DescribedBackend(CupyBackend):
    """Its arrays are NumPy's, of any size: every element of one is the same number."""

    def __init__(self) -> None:
        self.xp = np
        self.device = self.gpu = DescribedDevice()
        self.arrays = Arrays(np, self.device)
        tg.plugins.load()
        self.kernels = [Kernel(x.name, "described", functools.partial(_made, x)) for x in _ops()]

    def asarray(self, data: Any, dtype: str | None) -> Any:
        if isinstance(data, np.ndarray) and dtype in (None, data.dtype.name):
            return data
        return np.asarray(data, dtype)

    def to_host(self, array: Any) -> Any:
        return array

    def synchronize(self) -> None:
        pass


def blank(shape: Sequence[int], dtype: str) -> Any:
    """An array of zeros without their memory."""
    return np.broadcast_to(np.zeros((), dtype), tuple(shape))


def _ops() -> Iterator[Op[...]]:
    """All that are declared, those that no user calls too; but not those within a function."""
    for name, module in Op.declared.items():
        found = vars(importlib.import_module(module)).get(name)
        if isinstance(found, Op):
            yield found
        elif name in tg.plugins.ops:
            yield tg.plugins.ops[name]


def _made(op: Op[...], *arrays: Any, **params: Any) -> Any:
    """The result of an op: a number is computed, since a plan writes it into its kernels."""
    specs = [Spec(x.shape, x.dtype.name) for x in arrays]
    spec = op.shape_rule(*specs, **params)
    if any(s.shape for s in (spec, *specs)) or op.portable is None:
        return blank(spec.shape, spec.dtype)
    with np.errstate(all="ignore"):
        return np.asarray(op.portable(np, *arrays, **params))


@contextlib.contextmanager
def described() -> Iterator[DescribedBackend]:
    """In its scope "cupy" is a GPU that is only described."""
    plugins: Any = tg.plugins
    before = dict(plugins._backends)
    made = plugins._backends["cupy"] = DescribedBackend()
    _forget()
    try:
        with tg.use(backend="cupy"):
            yield made
    finally:
        plugins._backends.clear()
        plugins._backends.update(before)
        _forget()


def _forget() -> None:
    """Kernels that were chosen before."""
    for notify in tg.plugins.on_change:
        notify()
