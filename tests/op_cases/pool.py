"""Pooling, against plain loops and PyTorch."""

import itertools
import math

import numpy as np
from tensorgraph_ops.pool import Windows

from op_cases.case import Case, distinct, draw


def each(value, axes):
    return (value,) * axes if isinstance(value, int) else tuple(value)


def windows(n, k, s, p, d=1, ceil=False):
    """For each window along an axis the indices in it, from -p (padding) to n + p - 1."""
    found = []
    while True:
        first = len(found) * s - p
        whole = first + (k - 1) * d <= n + p - 1
        if not (whole or (ceil and found and first < n)):
            return found
        if not whole and first - s + (k - 1) * d == n + p - 1:
            return found  # the last window ended with the input: none is cut short
        found.append([first + i * d for i in range(k) if first + i * d < n + p])


def by_loops(x, axes_windows, reduce):
    """Reduce each window with ``reduce(values inside x, number of indices)``."""
    y = np.zeros((*x.shape[:2], *map(len, axes_windows)))
    for b, c, *at in np.ndindex(*y.shape):
        members = [w[i] for w, i in zip(axes_windows, at)]
        inside = [[i for i in m if 0 <= i < n] for m, n in zip(members, x.shape[2:])]
        y[(b, c, *at)] = reduce(x[b, c][np.ix_(*inside)], math.prod(map(len, members)))
    return y.astype(x.dtype)


def geometry(shape, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    axes = len(shape) - 2
    k = each(kernel_size, axes)
    s = k if stride is None else each(stride, axes)
    rest = zip(shape[2:], k, s, each(padding, axes), each(dilation, axes))
    return [windows(n, k, s, p, d, ceil_mode) for n, k, s, p, d in rest]


def max_case(*shape, label="", **given):
    def torch_oracle(x):
        import torch

        return getattr(torch.nn.functional, f"max_pool{x.ndim - 2}d")(x, **given)

    return Case(
        "max_pool", (distinct(*shape),),
        lambda x: by_loops(x, geometry(shape, **given), lambda values, count: values.max()),
        given, torch=torch_oracle if 0 not in shape else None, label=label,
    )  # fmt: skip


def avg_case(*shape, label="", **given):
    include = given.get("count_include_pad", True)
    where = {k: v for k, v in given.items() if k != "count_include_pad"}

    def oracle(x):
        def average(values, count):
            return values.sum() / (count if include else values.size)

        return by_loops(x, geometry(shape, **where), average)

    def torch_oracle(x):
        import torch

        return getattr(torch.nn.functional, f"avg_pool{x.ndim - 2}d")(x, **given)

    return Case(
        "avg_pool", (draw(*shape),), oracle, given,
        torch=torch_oracle if 0 not in shape else None, label=label,
    )  # fmt: skip


def adaptive_case(name, *shape, output_size):
    sizes = each(output_size, len(shape) - 2) if output_size is not None else shape[2:]
    sizes = [n if m is None else m for n, m in zip(shape[2:], sizes)]
    spans = [
        [range(math.floor(i * n / m), math.ceil((i + 1) * n / m)) for i in range(m)]
        for n, m in zip(shape[2:], sizes)
    ]
    reduce = np.mean if "avg" in name else np.max

    def torch_oracle(x):
        import torch

        size = output_size if isinstance(output_size, int) else tuple(sizes)
        return getattr(torch.nn.functional, f"{name}{x.ndim - 2}d")(x, size)

    return Case(
        name, (distinct(*shape),), lambda x: by_loops(x, spans, lambda v, count: reduce(v)),
        {"output_size": output_size}, torch=torch_oracle if 0 not in shape else None,
    )  # fmt: skip


GEOMETRIES = [
    ((2, 3, 6, 4), {"kernel_size": 2}),
    ((2, 2, 7, 5), {"kernel_size": (3, 2), "stride": 2, "padding": (1, 0)}),
    ((1, 2, 7, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((1, 2, 6, 6), {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
    ((1, 2, 5, 5), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 1, 5, 5), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((1, 2, 7, 7), {"kernel_size": 1, "stride": 3}),
    ((2, 2, 3, 4), {"kernel_size": (3, 4)}),
    ((1, 1, 1, 1), {"kernel_size": 1}),
    ((0, 2, 4, 4), {"kernel_size": 2}),
    ((2, 2, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 2, 4, 5, 6), {"kernel_size": (2, 3, 2), "stride": (1, 2, 2), "padding": (0, 1, 1)}),
]
DILATED = [
    ((2, 2, 8, 7), {"kernel_size": (3, 2), "stride": 2, "dilation": (2, 3)}),
    ((1, 2, 9), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}),
]
ADAPTIVE = [
    ((2, 3, 6, 4), (3, 2)),
    ((2, 2, 7, 5), (3, 2)),
    ((2, 2, 5, 7), (None, 3)),
    ((2, 3, 5, 4), 1),
    ((1, 2, 3, 4), (5, 4)),
    ((1, 2, 7), 3),
    ((1, 1, 4, 5, 3), (2, 3, 2)),
    ((0, 2, 6, 6), 4),
]


def maps(shape, **given):
    """The linear maps of one geometry: their oracles add or pick element by element."""
    axes = len(shape) - 2
    stride = given.get("stride") or given["kernel_size"]
    canonical = Windows(
        each(given["kernel_size"], axes), each(stride, axes), each(given.get("padding", 0), axes),
        each(given.get("dilation", 1), axes), given.get("ceil_mode", False),
    )  # fmt: skip
    spans = geometry(shape, **given)
    reach = (*shape[:2], *map(len, spans))

    def cells():
        for b, c, *at in np.ndindex(*reach):
            members = itertools.product(*[w[i] for w, i in zip(spans, at)])
            inside = [m for m in members if all(0 <= i < n for i, n in zip(m, shape[2:]))]
            count = math.prod(len(w[i]) for w, i in zip(spans, at))
            yield (b, c, *at), [(b, c, *m) for m in inside], count

    def scatter(y, x, maxima):
        out = np.zeros_like(x)
        for at, members, _ in cells():
            out[max(members, key=lambda m: x[m])] += y[at]
        return out

    def pick(values, x, maxima):
        out = np.zeros_like(maxima)
        for at, members, _ in cells():
            out[at] = values[max(members, key=lambda m: x[m])]
        return out

    def share(y):
        out = np.zeros(shape)
        for at, members, count in cells():
            for m in members:
                out[m] += y[at] / count
        return out.astype(y.dtype)

    x = distinct(*shape)
    maxima = by_loops(x, spans, lambda values, count: values.max())
    y, values = draw(*reach, seed="y"), draw(*shape, seed="values")

    yield Case("max_pool_input", (y, x, maxima), scatter, {"windows": canonical}, order=0)
    yield Case("max_pool_pick", (values, x, maxima), pick, {"windows": canonical}, order=0)
    if "dilation" not in given:
        rest = {"size": shape[2:], "windows": canonical, "count_include_pad": True}
        yield Case("avg_pool_input", (y,), share, rest)


CASES = [
    *[max_case(*shape, **given) for shape, given in GEOMETRIES + DILATED],
    *[avg_case(*shape, **given) for shape, given in GEOMETRIES],
    *[avg_case(*shape, **given, count_include_pad=False) for shape, given in GEOMETRIES[1:6]],
    *[case for shape, given in GEOMETRIES[1:5] + DILATED for case in maps(shape, **given)],
    *[adaptive_case("adaptive_avg_pool", *shape, output_size=size) for shape, size in ADAPTIVE],
    *[adaptive_case("adaptive_max_pool", *shape, output_size=size) for shape, size in ADAPTIVE],
]
