"""Kernels as native functions of one form, bound to their arguments and run as a table of calls.

A kernel is a Numba function ``kernel(a, like)``. ``a`` points to its arguments, 64-bit words; the
type of ``like``, float32 or float64, is that of its numbers, so that one source serves both. With
one form for all, a whole plan is a table of pairs (address of a function, address of its
arguments), which each thread walks through without Python and without the GIL: a call costs 20 ns,
waiting for the other threads about a microsecond.

Numba is imported when something has to be compiled: a kernel that was is found as a file
(``objects``) and linked without it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from tensorgraph_numba.late import Late, carray, intrinsic, types
from tensorgraph_numba.loading import address, cached, loaded

__all__ = ["address", "cached", "loaded"]  # and what follows

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},  # but NaN and infinity stay what they are
    "error_model": "numpy",
    "boundscheck": False,
}
FORM = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_float)  # of kernels of float32


class Inner:
    """A function that kernels call. Numba is asked when one of them is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    @functools.cached_property
    def compiled(self) -> Any:
        """What Numba makes of it."""
        return importlib.import_module("numba").njit(**OPTIONS)(self.function)

    @property
    def _numba_type_(self) -> Any:
        """Its type in another kernel, which Numba asks for by this name."""
        return self.compiled._numba_type_

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled(*arguments)


class Kernel(Inner):
    """A function ``(a, like)``, and where its native code begins for each dtype."""

    def __init__(self, function: Callable[[Any, Any], None]) -> None:
        super().__init__(function)
        self.name = f"{function.__module__}.{function.__name__}"
        self.addresses: dict[str, int] = {}


KERNELS: dict[str, Kernel] = {}


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call."""
    return Inner(function)


def kernel(function: Callable[[Any, Any], None]) -> Any:
    """Declare a kernel, ``function(a, like)``; it is compiled when its address is asked for."""
    made = Kernel(function)
    KERNELS[made.name] = made
    return made


@intrinsic
def _pointer(context: Any, address: Any, like: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return types.CPointer(like)(types.int64, like), generate


@intrinsic
def _as_double(context: Any, word: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def _invoke(context: Any, function: Any, arguments: Any) -> Any:
    """Call a kernel by its address. What ``like`` is does not matter: its value is not read."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        words = ir.IntType(64).as_pointer()
        form = ir.FunctionType(ir.VoidType(), [words, ir.DoubleType()])
        called = builder.inttoptr(values[0], form.as_pointer())
        zero = ir.Constant(ir.DoubleType(), 0.0)
        builder.call(called, [builder.inttoptr(values[1], words), zero])
        return target.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _add_atomically(context: Any, address: Any) -> Any:
    """Add 1 to a counter; what it was before."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counter = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", counter, ir.Constant(ir.IntType(64), 1), "acq_rel")

    return types.int64(types.int64), generate


@intrinsic
def _load_atomically(context: Any, address: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counter = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(counter, "acquire", 8)

    return types.int64(types.int64), generate


_yield = Late(lambda: types.ExternalFunction("sched_yield", types.int32()))
SPINS = 20_000  # some 10 us; then the processor is offered to others


@inner
def array(a: Any, i: int, like: Any) -> Any:
    """The array whose address and number of elements are words ``i`` and ``i + 1``."""
    return carray(_pointer(a[i], like), (a[i + 1],))


@inner
def number(a: Any, i: int) -> Any:
    """The floating-point number that word ``i`` holds."""
    return _as_double(a[i])


@inner
def drive_rows(rows: Any, count: int, counter: int, threads: int) -> None:
    """Run ``count`` rows (function, arguments). One whose function is 0 waits until all threads
    have come to theirs; ``counter`` is the address of the number that they count in."""
    for i in range(count):
        if rows[2 * i] != 0:
            _invoke(rows[2 * i], rows[2 * i + 1])
        elif threads > 1:
            wanted = (_add_atomically(counter) // threads + 1) * threads
            spins = 0
            while _load_atomically(counter) < wanted:
                spins += 1
                if spins > SPINS:
                    _yield()


@kernel
def drive(a: Any, like: Any) -> None:
    """``drive_rows``: the address of the rows, their number, the counter, the threads."""
    drive_rows(_pointer(a[0], a[0]), a[1], a[2], a[3])


def driver(rows: Any, counter: int, threads: int) -> Callable[[], None]:
    """What runs a table of calls on the thread that calls it; see ``drive_rows``."""
    words = np.array([rows.ctypes.data, len(rows), counter, threads], np.int64)
    made = functools.partial(FORM(address(drive, "float32")), words.ctypes.data, 0.0)
    made.memory = rows, words  # type: ignore[attr-defined]  # lives as long
    return made


class Call(NamedTuple):
    """A kernel bound to its arguments. ``arrays`` are those in whose memory it reads and writes:
    they must live as long as the call. ``inner`` are kernels that it calls in its turn, by the
    addresses that ``row`` writes to an array's places."""

    kernel: Any
    dtype: str
    words: Any  # int64[n]
    arrays: tuple[Any, ...]
    inner: Sequence[tuple[Any, Any, Sequence[int]]] = ()  # kernel, array, places

    @property
    def name(self) -> str:
        return str(self.kernel.__name__)

    def row(self) -> tuple[int, int]:
        """Its entry in a table; compiles the kernels where that has not been done."""
        for kernel, words, places in self.inner:
            words[places] = address(kernel, self.dtype)
        return address(self.kernel, self.dtype), self.words.ctypes.data

    def kernels(self) -> list[Any]:
        """All kernels that it takes."""
        return [self.kernel, *(kernel for kernel, _, _ in self.inner)]

    def run(self) -> None:
        """Run it now, on this thread: what tests and measurements do."""
        run([self])


def bind(kernel: Any, dtype: str, *arguments: Any) -> Call:
    """A call of ``kernel``. An array takes two words, its address and the number of elements from
    there to its last one; an integer or bool takes one; a float one, read by ``number``."""
    words: list[int] = []
    for x in arguments:
        if isinstance(x, np.ndarray):
            words += [x.ctypes.data, extent(x)]
        elif isinstance(x, float | np.floating):
            words.append(int(np.float64(x).view(np.int64)))
        else:
            words.append(int(x))
    arrays = tuple(x for x in arguments if isinstance(x, np.ndarray))
    return Call(kernel, dtype, np.array(words, np.int64), arrays)


def extent(x: Any) -> int:
    """How many elements lie between the first of an array and the end of its last."""
    if not x.size:
        return 0
    if any(s < 0 or s % x.itemsize for s in x.strides):
        raise ValueError(f"a kernel takes no array with the strides {x.strides}")
    return 1 + sum((n - 1) * s // x.itemsize for n, s in zip(x.shape, x.strides))


def table(calls: Sequence[Call | None]) -> Any:
    """Calls as rows for ``drive``; None is where all threads wait for each other."""
    rows = [(0, 0) if call is None else call.row() for call in calls]
    return np.array(rows, np.int64).reshape(-1, 2)


def run(calls: Sequence[Call]) -> None:
    """Run calls one after the other on this thread."""
    driver(table(calls), 0, 1)()
