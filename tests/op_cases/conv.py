"""The three convolution maps and conv_transpose, against plain loops and PyTorch."""

import itertools

import numpy as np

from op_cases.case import Case, draw

F = {1: "conv1d", 2: "conv2d", 3: "conv3d"}
T = {1: "conv_transpose1d", 2: "conv_transpose2d", 3: "conv_transpose3d"}


def loops(x, w, *, stride, pairs, dilation, groups=1):
    """Convolution by its definition: one sum for each output element, in float64."""
    axes = w.ndim - 2
    x = np.pad(np.asarray(x, "float64"), [(0, 0), (0, 0), *pairs])
    size = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *size))
    c, per_group = w.shape[1], w.shape[0] // groups
    for f, *at in itertools.product(range(w.shape[0]), *map(range, size)):
        first = f // per_group * c
        window = [slice(a * s, a * s + (k - 1) * d + 1, d)
                  for a, s, k, d in zip(at, stride, w.shape[2:], dilation)]  # fmt: skip
        seen = x[(slice(None), slice(first, first + c), *window)]
        y[(slice(None), f, *at)] = (seen * w[f]).sum(axis=tuple(range(1, axes + 2)))
    return y


def padded(x, pairs):
    import torch

    return torch.nn.functional.pad(x, [n for pair in reversed(pairs) for n in pair])


def case(x, w, label="", *, stride=1, padding=0, dilation=1, groups=1, pairs=None):
    """``pairs`` is what the padding means, where it is not numbers."""
    axes = len(x) - 2
    each = [(v,) * axes if isinstance(v, int) else v for v in (stride, dilation)]
    pairs = pairs or [(p, p) for p in ((padding,) * axes if isinstance(padding, int) else padding)]
    given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}

    def oracle(x, w):
        return loops(x, w, stride=each[0], pairs=pairs, dilation=each[1], groups=groups).astype(
            x.dtype
        )

    def torch_oracle(x, w):
        import torch

        conv = getattr(torch.nn.functional, F[axes])
        return conv(padded(x, pairs), w, stride=stride, dilation=dilation, groups=groups)

    shown = {k: v for k, v in given.items() if v != (0 if k == "padding" else 1)}
    return Case(
        "conv", (draw(*x), draw(*w, seed="w")), oracle, shown,
        torch=torch_oracle if 0 not in x else None, label=label, tolerance=2e-5,
    )  # fmt: skip


GEOMETRIES = [
    case((2, 3, 5, 6), (4, 3, 3, 2)),
    case((2, 3, 6, 5), (4, 3, 3, 3), padding=1),
    case((2, 3, 7, 6), (2, 3, 3, 2), stride=2, padding=(1, 0)),
    case((1, 2, 8, 7), (3, 2, 3, 2), stride=(3, 1), padding=2, dilation=(2, 3)),
    case((2, 2, 6, 5), (3, 2, 2, 3), padding=((1, 2), (0, 1)), pairs=[(1, 2), (0, 1)]),
    case((1, 2, 6, 5), (3, 2, 4, 3), "even", padding="same", pairs=[(1, 2), (1, 1)]),
    case((1, 2, 7, 6), (3, 2, 3, 3), "strided", padding="same", stride=2, pairs=[(1, 1), (0, 1)]),
    case((1, 2, 5, 5), (3, 2, 3, 3), padding="valid", pairs=[(0, 0), (0, 0)]),
    case((2, 4, 5, 5), (6, 2, 3, 3), groups=2, padding=1),
    case((2, 4, 5, 5), (8, 1, 3, 3), "depthwise", groups=4, stride=2),
    case((2, 3, 4, 4), (5, 3, 1, 1), "pointwise"),
    case((2, 3, 7, 7), (2, 3, 1, 1), "stride over kernel", stride=3),
    case((2, 3, 2, 2), (2, 3, 1, 1), "as many windows as pixels", stride=2, padding=1),
    case((2, 3, 4, 5), (2, 3, 4, 5), "kernel is input"),
    case((3, 1, 6, 6), (2, 1, 5, 5), "one channel", padding=2),
    case((1, 1, 1, 1), (1, 1, 1, 1), "ones"),
    case((0, 3, 5, 5), (2, 3, 3, 3), "no batch", padding=1),
    case((1, 2, 3, 4), (2, 2, 5, 4), "more padding than input", padding=3),
    case((2, 3, 8), (4, 3, 3)),
    case((2, 4, 9), (4, 2, 3), stride=2, padding=1, dilation=2, groups=2),
    case((1, 2, 4, 5, 4), (3, 2, 2, 3, 2)),
    case(
        (1, 2, 4, 5, 4), (2, 1, 2, 2, 2), stride=(1, 2, 1), padding=1, dilation=(2, 1, 1), groups=2
    ),
    case((0, 2, 8), (4, 2, 3), "no batch"),
]


def scalar_gradient(which):
    """The map that is the gradient of ``loops`` in one argument, as a sum over its basis."""

    def oracle(given, other, size, **geometry):
        found = np.zeros(size)
        for at in np.ndindex(*size):
            unit = np.zeros(size)
            unit[at] = 1
            if which == "input":
                found[at] = (loops(unit, other, **geometry) * given).sum()
            else:
                found[at] = (loops(other, unit, **geometry) * given).sum()
        return found

    return oracle


def geometry(stride, pairs, dilation, groups=1):
    return {"stride": stride, "padding": pairs, "dilation": dilation, "groups": groups}


SMALL = [
    ((2, 2, 4, 3), (4, 1, 2, 3), geometry((2, 1), ((1, 0), (1, 2)), (1, 1), 2)),
    ((1, 2, 5, 5), (2, 2, 2, 2), geometry((2, 2), ((0, 0), (1, 1)), (2, 1))),
    ((2, 1, 7), (3, 1, 3), geometry((2,), ((1, 1),), (2,))),
    ((1, 2, 3, 3, 3), (2, 2, 2, 1, 2), geometry((1, 2, 1), ((0, 0),) * 3, (1, 1, 2))),
    ((0, 2, 4, 4), (3, 2, 3, 3), geometry((1, 1), ((1, 1),) * 2, (1, 1))),
]


def adjoints(x, w, given):
    of = {**{k: v for k, v in given.items() if k != "padding"}, "pairs": given["padding"]}
    y = draw(*loops(np.zeros(x), np.zeros(w), **of).shape, seed="y")
    backward = scalar_gradient("input"), scalar_gradient("weight")
    yield Case(
        "conv_input", (y, draw(*w)),
        lambda y, w: backward[0](y, w, x, **of).astype(y.dtype),
        {"size": x[2:], **given}, tolerance=2e-5,
    )  # fmt: skip
    yield Case(
        "conv_weight", (draw(*x), y),
        lambda x, y: backward[1](y, x, w, **of).astype(x.dtype),
        {"size": w[2:], **given}, tolerance=2e-5,
    )  # fmt: skip


def transposed(x, w, **given):
    """By its definition: each input element puts a filter down, and where they overlap they add."""
    axes = len(x) - 2

    def each(name, default):
        value = given.get(name, default)
        return (value,) * axes if isinstance(value, int) else value

    s, p, e, d = (
        each("stride", 1),
        each("padding", 0),
        each("output_padding", 0),
        each("dilation", 1),
    )
    groups = given.get("groups", 1)

    def oracle(x, w):
        c, f = w.shape[0] // groups, w.shape[1]
        full = [(n - 1) * s + (k - 1) * d + 1 + e
                for n, k, s, d, e in zip(x.shape[2:], w.shape[2:], s, d, e)]  # fmt: skip
        y = np.zeros((x.shape[0], f * groups, *full))
        for i, channel, *at in np.ndindex(*x.shape):
            put = [slice(a * s, a * s + (k - 1) * d + 1, d)
                   for a, s, k, d in zip(at, s, w.shape[2:], d)]  # fmt: skip
            first = channel // c * f
            y[(i, slice(first, first + f), *put)] += x[(i, channel, *at)] * w[channel]
        return y[(..., *[slice(p, n - p) for n, p in zip(full, p)])].astype(x.dtype)

    def torch_oracle(x, w):
        import torch

        return getattr(torch.nn.functional, T[axes])(x, w, **given)

    return Case(
        "conv_transpose", (draw(*x), draw(*w, seed="w")), oracle, given,
        torch=torch_oracle if 0 not in x else None, tolerance=2e-5,
    )  # fmt: skip


CASES = [
    *GEOMETRIES,
    *itertools.chain.from_iterable(itertools.starmap(adjoints, SMALL)),
    transposed((2, 3, 4, 5), (3, 2, 3, 2)),
    transposed((2, 4, 4, 3), (4, 2, 3, 3), stride=2, padding=1, output_padding=1, groups=2),
    transposed((1, 2, 3, 3), (2, 3, 3, 2), stride=(2, 3), padding=(0, 1), dilation=(2, 1),
               output_padding=(1, 2)),
    transposed((2, 2, 5), (2, 3, 4), stride=2, padding=1),
    transposed((1, 2, 2, 3, 2), (2, 1, 2, 2, 3), stride=(1, 2, 2), output_padding=(0, 1, 1)),
    transposed((2, 3, 4, 3), (3, 2, 2, 3), dilation=(3, 2), padding=(1, 2), output_padding=(2, 1)),
    transposed((1, 2, 5), (2, 1, 2), dilation=2, output_padding=1),
    transposed((0, 2, 4, 4), (2, 3, 2, 2), stride=2),
]  # fmt: skip
