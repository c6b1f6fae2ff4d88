"""What normalisations are made of, against their definitions in NumPy and PyTorch; the gradient
against a complex step, which is exact to the last bits."""

import numpy as np

from op_cases.case import Case, draw
from tensorgraph import ops

EPS = 0.1
STEP = 1e-30


def statistics(x, axes):
    """The mean, and one over the root of the variance plus EPS, as the ops make them."""
    average = ops.axis_mean(x, axis=axes)
    return average, ops.rsqrt(ops.axis_variance(x, average) + EPS)


def standard(x, axes):
    deviation = x - x.mean(axes, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axes, keepdims=True) + EPS)


def torch_standard(x, axes):
    deviation = x - x.mean(axes, keepdim=True)
    return deviation / (deviation.square().mean(axes, keepdim=True) + EPS).sqrt()


def slope(function, x):
    """The derivative of a sum in each element of ``x``: along i · STEP nothing cancels."""
    found = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[at] += 1j * STEP
        found[at] = function(moved).sum().imag / STEP
    return found.astype(x.dtype)


def collapsed(x, shape):
    """The sum to ``shape``, which broadcasts to that of ``x``."""
    lead = x.ndim - len(shape)
    axes = tuple(i for i in range(x.ndim) if i < lead or shape[i - lead] == 1)
    return x.sum(axes, keepdims=True).reshape(shape)


def kept(x, axes):
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def moments(shape, axes):
    x = draw(*shape)
    yield Case("axis_mean", (x,), lambda x: x.mean(axes, keepdims=True), {"axis": axes},
               torch=lambda x: x.mean(axes, keepdim=True))  # fmt: skip
    yield Case(
        "axis_variance", (x,), lambda x: x.var(axes, keepdims=True), label=f"axis={axes}", order=3,
        call=lambda x: ops.axis_variance(x, ops.axis_mean(x, axis=axes)),
        torch=lambda x: x.var(axes, keepdim=True, correction=0),
    )  # fmt: skip


def values(shape, axes, affine, shift=None):
    """Scaled and shifted by tensors of this shape (the shift of another), or by 1 and 0."""
    inputs = [draw(*shape)]
    if affine is not None:
        inputs += [draw(*affine, seed="weight"), draw(*(shift or affine), seed="bias")]

    def call(x, weight=1.0, bias=0.0):
        return ops.standardize(x, *statistics(x, axes), weight, bias)

    return Case("standardize", tuple(inputs), lambda x, w=1, b=0: standard(x, axes) * w + b,
                call=call, torch=lambda x, w=1, b=0: torch_standard(x, axes) * w + b,
                label=f"axis={axes}", order=3, tolerance=1e-4)  # fmt: skip


def gradients(shape, axes, affine):
    x, g = draw(*shape), draw(*shape, seed="g")

    def in_weight(g, x):
        return ops.standardize_weight(g, x, *statistics(x, axes), shape=affine)

    def in_input(g, x, weight=1.0):
        both = statistics(x, axes)
        total = ops.sum_to(g, shape=both[0].shape)
        along = ops.standardize_weight(g, x, *both, shape=both[0].shape)
        return ops.standardize_input(g, x, *both, weight, total, along)

    yield Case("standardize_weight", (g, x), lambda g, x: collapsed(g * standard(x, axes), affine),
               call=in_weight, label=f"axis={axes}-to{affine}", order=3,
               tolerance=1e-4)  # fmt: skip
    for weight in [(), (draw(*kept(x, axes), seed="w"),)]:
        yield Case(
            "standardize_input", (g, x, *weight),
            lambda g, x, w=1: slope(lambda z: g * w * standard(z, axes), x),
            call=in_input, label=f"axis={axes}", order=3, tolerance=1e-4,
        )  # fmt: skip


# the axes of batch, layer and group normalisation, and what they are scaled by
SETTINGS = [
    ((4, 3), (0,), (1, 3)),
    ((2, 3, 4, 2), (0, 2, 3), (1, 3, 1, 1)),
    ((3, 5), (1,), (5,)),
    ((2, 3, 4), (1, 2), (3, 4)),
    ((2, 2, 3, 4), (2, 3), (2, 3, 1)),
    ((1, 4), (0,), (1, 4)),
]

CASES = [
    *[case for shape, axes, _ in SETTINGS for case in moments(shape, axes)],
    *[values(*setting) for setting in SETTINGS],
    values((3, 5), (1,), None),
    values((2, 3, 2), (0, 2), (1,)),
    values((2, 3, 2), (0, 2), (1, 3, 1), (2,)),
    values((2, 3, 2), (1, 2), (3, 2), (2, 1, 1)),
    *[case for setting in SETTINGS for case in gradients(*setting)],
    Case("axis_mean", (draw(2, 3),), lambda x: x.mean(0, keepdims=True), {"axis": -2}),
]
