"""Where the native code of kernels begins: found on the disk, or compiled by Numba and kept.

Numba's own cache is not used: what it keeps of a function holds as long as the file that the
function is in, whatever becomes of those that it calls.
"""

from __future__ import annotations

import importlib
from typing import Any

from tensorgraph_numba import elf, objects
from tensorgraph_numba.late import types

_kept: list[Any] = []  # what LLVM has linked


def signature(dtype: str) -> Any:
    """Of kernels, as Numba has it."""
    return types.CPointer(types.int64), getattr(types, dtype)


def address(kernel: Any, dtype: str) -> int:
    """Where the native code of a kernel begins; compiled, or loaded from the disk, if need be."""
    if not loaded(kernel, dtype):
        kernel.compiled.compile(signature(dtype))
        made = kernel.compiled.overloads[signature(dtype)]
        entry = made.fndesc.llvm_cfunc_wrapper_name
        _, _, (code, _) = made.library.serialize_using_object_code()
        objects.save(objects.file(kernel, dtype), objects.Object(code, entry))
        kernel.addresses[dtype] = int(made.library.get_pointer_to_function(entry))
    return kernel.addresses[dtype]


def loaded(kernel: Any, dtype: str) -> bool:
    """Whether this process has the native code, or found it on the disk."""
    if dtype not in kernel.addresses:
        found = objects.find(objects.file(kernel, dtype))
        if found is None:
            return False
        kernel.addresses[dtype] = _linked(found)
    return True


def cached(kernel: Any, dtype: str) -> bool:
    """Whether the native code is on the disk; it is not loaded."""
    return objects.find(objects.file(kernel, dtype)) is not None


def _linked(found: objects.Object) -> int:
    if elf.serves():
        try:
            return elf.link(*found)
        except elf.LinkError:
            pass  # LLVM may know how
    importlib.import_module(
        "numba.core.registry"
    ).cpu_target.target_context.refresh()  # its runtime
    llvm = importlib.import_module("llvmlite.binding")
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(found.code))
    engine.finalize_object()
    _kept.append(engine)
    return int(engine.get_function_address(found.entry))
