"""What kernels are written with, found when the first of them is compiled: importing Numba takes
half a second and 60 MiB, and kernels that were compiled before need nothing of it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any


class Late:
    """A thing that ``find`` gives when somebody uses it. Kernels may use it as a global."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    @functools.cached_property
    def _found(self) -> Any:
        return self._find()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._found, name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._found(*arguments, **options)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, self._found)

    @property
    def _numba_type_(self) -> Any:
        """Its type in a kernel, which Numba asks for by this name."""
        found = self._found
        typing = importlib.import_module("numba.core.registry").cpu_target.typing_context
        typing.refresh()  # it may have been declared just now
        return typing.resolve_value_type(found)


def late(module: str, name: str) -> Any:
    """A name of a module that is imported when it is used."""
    return Late(lambda: getattr(importlib.import_module(module), name))


def intrinsic(function: Any = None, *, needs: str = "", **options: Any) -> Any:
    """``numba.extending.intrinsic``. ``needs``: a module that declares the types of its values."""
    if function is None:
        return functools.partial(intrinsic, needs=needs, **options)

    def find() -> Any:
        if needs:
            importlib.import_module(needs)
        declare = importlib.import_module("numba.extending").intrinsic
        return declare(**options)(function) if options else declare(function)

    return functools.update_wrapper(Late(find), function)


carray = late("numba", "carray")
cgutils = late("numba.core", "cgutils")
int64 = late("numba", "int64")
types = late("numba", "types")
uint64 = late("numba", "uint64")
