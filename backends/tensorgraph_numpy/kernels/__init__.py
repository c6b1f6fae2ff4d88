"""The kernels that NumPy runs better than the portable ones: a module per family of ops."""

from tensorgraph_numpy.kernels import conv, pool

KERNELS = (*conv.KERNELS, *pool.KERNELS)
