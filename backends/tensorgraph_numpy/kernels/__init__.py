"""The kernels that NumPy runs better than the portable ones."""

from collections.abc import Sequence

from tensorgraph import Kernel

KERNELS: Sequence[Kernel] = ()
