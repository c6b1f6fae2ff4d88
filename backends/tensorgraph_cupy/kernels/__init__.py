"""The kernels that a GPU runs better than the portable ones, or that CuPy spells otherwise."""

from __future__ import annotations

import functools
from typing import Any

from tensorgraph import Kernel
from tensorgraph_cupy.kernels import im2col, philox


def kernels_for(xp: Any) -> list[Kernel]:
    """The kernels, bound to the array module."""
    return [
        Kernel("conv", "im2col", functools.partial(im2col.conv, xp)),
        Kernel("conv_input", "im2col", functools.partial(im2col.conv_input, xp)),
        Kernel("conv_weight", "im2col", functools.partial(im2col.conv_weight, xp)),
        Kernel("argsort", "stable", lambda x, *, axis: xp.argsort(x, axis=axis)),  # it always is
        Kernel("random_bits", "philox", functools.partial(philox.random_bits, xp)),
        Kernel("random_bits_each", "philox", functools.partial(philox.random_bits_each, xp)),
    ]
