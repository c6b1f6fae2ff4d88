"""The kernels that NumPy runs better than the portable ones: a module per family of ops."""

from tensorgraph_numpy.kernels import (
    activation,
    conv,
    label_loss,
    linalg,
    pool,
    random,
    reduction,
)

FAMILIES = (activation, conv, label_loss, linalg, pool, random, reduction)
KERNELS = tuple(kernel for family in FAMILIES for kernel in family.KERNELS)
