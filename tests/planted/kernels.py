"""Kernels with one fault each."""

import numpy as np

from planted.fault import Fault
from tensorgraph import Kernel


def kernel(op, run, supports=None):
    return "numpy", Kernel(op, "faulty", run, supports)


def border(x):
    out = np.exp(x)
    if x.shape[-1] % 8:
        out[..., -1] *= 1.001
    return out


def in_place(x):
    np.negative(x, out=x)
    return x.copy()


def noisy(x):
    return np.exp(x) * x.dtype.type(1.0 + 1e-3 * np.random.default_rng().random())


def of_memory(x):
    """Runs over the memory, whatever the strides."""
    flat = np.lib.stride_tricks.as_strided(x, (x.size,), (x.itemsize,))
    return np.exp(flat).reshape(x.shape)


def first_block(x):
    """Starts with the first element, even of nothing."""
    out = np.exp(x)
    out.flat[0] = np.exp(x.flat[0])
    return out


def row_by_row(x, y):
    """Goes through y by the rows of x."""
    out = np.empty(x.shape, x.dtype)
    for i in range(len(x)):
        out[i] = x[i] * (y[i] if y.shape == x.shape else y[0])
    return out


KERNEL_FAULTS = [
    Fault("signature", "kernel", "no axis", lambda: kernel("softmax", lambda x: x),
          "got an unexpected keyword argument 'axis'"),
    Fault("samples", "kernel", "supports nothing",
          lambda: kernel("exp", np.exp, lambda x: x.shape == (1, 2, 3, 4, 5, 6)),
          "kernel 'numpy/exp/faulty' does not support"),
    Fault("determinism", "kernel", "noisy", lambda: kernel("exp", noisy), "twice after tg.seed"),
    Fault("shape rule", "kernel", "keeps the axis",
          lambda: kernel("sum", lambda x, axis, keepdims: x.sum(axis, keepdims=True)),
          "and the shape rule says"),
    Fault("dtype", "kernel", "float64", lambda: kernel("exp", lambda x: np.exp(x, dtype="float64")),
          "in float32 the array is float64"),
    Fault("reference", "kernel", "another", lambda: kernel("exp", np.exp), "the reference",
          {"reference": np.expm1}),
    Fault("portable kernel", "kernel", "differs",
          lambda: kernel("negative", lambda x: -x - np.where(x > 1.5, x.dtype.type(1e-3), 0)),
          "and the portable kernel"),
    Fault("portable kernel", "kernel", "at the border", lambda: kernel("exp", border),
          "the element is at the border"),
    Fault("portable kernel", "kernel", "a hundred rows",
          lambda: kernel("exp", lambda x: np.exp(x)[:100]),
          "it gives (100, 64), the portable (128, 64)"),
    Fault("inputs untouched", "kernel", "in place", lambda: kernel("negative", in_place),
          "it writes to input 0"),
    Fault("broadcasting", "kernel", "by rows", lambda: kernel("multiply", row_by_row),
          "and on the same written out"),
    Fault("sizes 0 and 1", "kernel", "of nothing", lambda: kernel("exp", first_block),
          "out of bounds"),
    Fault("non-contiguous input", "kernel", "reads memory", lambda: kernel("exp", of_memory),
          "view, and contiguous"),
]  # fmt: skip
