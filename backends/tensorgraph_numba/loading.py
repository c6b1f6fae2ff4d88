"""Where the native code of kernels begins: found on the disk, or compiled by Numba and kept."""

from __future__ import annotations

from typing import Any

from tensorgraph_numba import elf, objects
from tensorgraph_numba.late import types


def signature(dtype: str) -> Any:
    """Of kernels, as Numba has it."""
    return types.CPointer(types.int64), getattr(types, dtype)


def address(kernel: Any, dtype: str) -> int:
    """Where the native code of a kernel begins; compiled, or loaded from the disk, if need be."""
    if not loaded(kernel, dtype):
        kernel.compiled.compile(signature(dtype))
        if elf.serves():
            _keep(kernel, dtype)
        if not loaded(kernel, dtype):  # where nothing can be kept
            kernel.addresses[dtype] = _address(kernel.compiled.overloads[signature(dtype)])
    return kernel.addresses[dtype]


def loaded(kernel: Any, dtype: str) -> bool:
    """Whether this process has the native code, or found it on the disk."""
    if dtype not in kernel.addresses:
        found = _from_disk(kernel, dtype)
        if found is None:
            return False
        kernel.addresses[dtype] = found
    return True


def cached(kernel: Any, dtype: str) -> bool:
    """Whether the native code is on the disk; it is not loaded."""
    if elf.serves():
        return objects.find(f"{kernel.name}@{dtype}") is not None
    return _key(kernel, dtype) in kernel.compiled._cache._cache_file._load_index()


def _from_disk(kernel: Any, dtype: str) -> int | None:
    if elf.serves():
        found = objects.find(f"{kernel.name}@{dtype}")
        if found is None:
            return None
        try:
            return elf.link(found.code, found.entry)
        except elf.LinkError:
            pass  # LLVM may know how
    made = kernel.compiled
    made.targetctx.refresh()
    overload = made._cache.load_overload(signature(dtype), made.targetctx)
    if overload is None:
        return None
    made.add_overload(overload)
    return _address(overload)


def _address(overload: Any) -> int:
    name = overload.fndesc.llvm_cfunc_wrapper_name
    return int(overload.library.get_pointer_to_function(name))


def _key(kernel: Any, dtype: str) -> Any:
    """By what Numba knows the native code on the disk."""
    made = kernel.compiled
    return made._cache._index_key(signature(dtype), made.targetctx.codegen())


def _keep(kernel: Any, dtype: str) -> None:
    """Keep what Numba has just compiled or found, if it could write to the disk itself."""
    file = getattr(kernel.compiled._cache, "_cache_file", None)
    found = file.load(_key(kernel, dtype)) if file is not None else None
    if found is not None:
        (_, _, (code, _)), description, *_ = found
        made = objects.Object(code, description.llvm_cfunc_wrapper_name)
        objects.save(f"{kernel.name}@{dtype}", made)
