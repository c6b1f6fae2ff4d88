"""The processor's vector unit, which the tiles of products are cut to."""

from __future__ import annotations

import functools
import os
import platform
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding
from numba import config


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
    """What Numba compiles for: the host's features, or those that NUMBA_CPU_FEATURES turns on."""
    if config.CPU_FEATURES is not None:
        named = config.CPU_FEATURES.replace(" ", "").split(",")
        return {name[1:] for name in named if name.startswith("+")}
    try:
        host = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this system
        return set()
    found = {name for name, has in host.items() if has}
    return found if config.ENABLE_AVX else {name for name in found if not name.startswith("avx")}


@functools.cache
def unit() -> Unit:
    """The vector unit that kernels are compiled for."""
    found = features()
    if "avx512f" in found:
        return Unit("avx512", 64, 32, True)
    if "avx2" in found and "fma" in found:
        return Unit("avx2", 32, 16, True)
    if platform.machine().lower() in ("arm64", "aarch64") and config.CPU_NAME != "generic":
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
