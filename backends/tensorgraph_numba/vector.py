"""The processor's vector unit, which the tiles of products are cut to."""

from __future__ import annotations

import functools
import importlib
import os
import platform
from typing import Any, NamedTuple

import numpy as np

from tensorgraph_numba.objects import processor


class Unit(NamedTuple):
    """A vector unit: its name, bytes per register, number of registers, and whether it has fused
    multiply-add for them."""

    name: str
    bytes: int
    registers: int
    fused: bool

    def lanes(self, dtype: Any) -> int:
        """How many numbers of a dtype one register holds."""
        return self.bytes // int(np.dtype(dtype).itemsize)


def features() -> set[str]:
    """What Numba compiles for: the host's features, or those that its settings turn on."""
    given = os.environ.get("NUMBA_CPU_FEATURES")
    if given is None and os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        given = ""
    if given is not None:
        named = given.replace(" ", "").split(",")
        return {name[1:] for name in named if name.startswith("+")}
    found = _of_host()
    plain = os.environ.get("NUMBA_ENABLE_AVX", "1").strip() == "0"
    return {name for name in found if not name.startswith("avx")} if plain else found


def _of_host() -> set[str]:
    """As Linux names them for Intel's and AMD's processors, which is as LLVM does; else LLVM's."""
    lines = [line.partition(":") for line in processor().splitlines()]
    flags = next((words for name, _, words in lines if name.strip() == "flags"), None)
    if flags is not None:
        return set(flags.split())
    binding = importlib.import_module("llvmlite.binding")
    try:
        host = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this system
        return set()
    return {name for name, has in host.items() if has}


@functools.cache
def unit() -> Unit:
    """The vector unit that kernels are compiled for."""
    found = features()
    if "avx512f" in found:
        return Unit("avx512", 64, 32, True)
    if "avx2" in found and "fma" in found:
        return Unit("avx2", 32, 16, True)
    generic = os.environ.get("NUMBA_CPU_NAME") == "generic"
    if platform.machine().lower() in ("arm64", "aarch64") and not generic:
        return Unit("neon", 16, 32, True)
    return Unit("none", 16, 16, False)


def cache() -> int:
    """Bytes of a core's L2 cache; of a usual one where the system does not say."""
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
    except (ValueError, OSError, AttributeError):
        size = 0
    return min(max(size, 1 << 18), 1 << 21) if size > 0 else 1 << 20


def why_not() -> str | None:
    """Why the products of this package are not offered here; None where they are."""
    if unit().fused:
        return None
    return (
        "Numba's kernels of products need fused multiply-add on vectors (AVX2 with FMA, AVX-512 "
        f"or NEON), and Numba compiles for features {sorted(features()) or 'unknown'}: the NumPy "
        "kernels run instead"
    )
