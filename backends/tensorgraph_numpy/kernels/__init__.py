"""The kernels that NumPy runs better than the portable ones: a module per family of ops."""

from tensorgraph_numpy.kernels import conv, linalg, pool, random

KERNELS = (*conv.KERNELS, *linalg.KERNELS, *pool.KERNELS, *random.KERNELS)
