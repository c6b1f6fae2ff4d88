"""Sums, products, extremes, variances, positions, running sums."""

import warnings

import numpy as np
import scipy.special

from op_cases.case import Case, distinct, draw

try:
    import torch
except ImportError:
    torch = None

# shape, axis
WAYS = [
    ((2, 3, 4), None),
    ((2, 3, 4), 1),
    ((2, 3, 4), -1),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (-1, 0, 1)),
    ((5,), 0),
    ((1, 1), 1),
    ((), None),
    ((3, 0), 0),
]
NOTHING = [((0, 3), 0), ((0, 3), 1), ((0,), None), ((2, 0, 3), (0, 1))]
INTEGERS = np.array([[7, -2, 0], [4, 5, -9]])
BITS = np.array([[True, False, True], [True, True, True]])
TIED = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
ZEROS = np.array([[0.0, 2.0, 0.0, 0.0], [3.0, -0.5, 2.0, 0.0], [0.7, 1.5, 0.0, 0.0]])
SCORES = np.array([[-np.inf, 0.0, 1.0], [800.0, 799.0, -np.inf], [-900.0, -900.0, -901.0]])


def wanted(axis, shape):
    """The axes in PyTorch's words, which knows no None for several."""
    return tuple(range(len(shape))) if axis is None else axis


def reductions(name, oracle, theirs, ways, data=draw, order=2, **params):
    for shape, axis in ways:
        for keepdims in (False, True):
            dims = wanted(axis, shape)
            yield Case(
                name,
                (data(*shape),),
                lambda x, a=axis, k=keepdims: oracle(x, axis=a, keepdims=k),
                {"axis": axis, "keepdims": keepdims, **params},
                torch=theirs and (lambda x, d=dims, k=keepdims: theirs(x, dim=d, keepdim=k)),
                order=order,
            )


def quiet(function):
    """NumPy warns of a mean or variance of nothing; the value, NaN, is what counts."""

    def silent(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return silent


def torch_prod(x, dim, keepdim):
    for d in sorted([dim] if isinstance(dim, int) else [d % x.ndim for d in dim], reverse=True):
        x = torch.prod(x, dim=d, keepdim=keepdim)
    return x


def torch_var(x, dim, keepdim):
    return torch.var(x, dim=dim, keepdim=keepdim, correction=0)


def positions(name):
    numpy_function, theirs = getattr(np, name), getattr(torch, name, None)
    for shape, axis in [
        ((2, 3, 4), None),
        ((2, 3, 4), 1),
        ((2, 3, 4), -1),
        ((), None),
        ((0, 2), 1),
    ]:
        for keepdims in (False, True):
            yield Case(
                name,
                (distinct(*shape),),
                lambda x, a=axis, k=keepdims: numpy_function(x, axis=a, keepdims=k),
                {"axis": axis, "keepdims": keepdims},
                torch=lambda x, a=axis, k=keepdims: theirs(x, dim=a, keepdim=k),
                order=0,
            )
    for x in (TIED, INTEGERS, -TIED):
        yield Case(name, (x,), lambda x: numpy_function(x, axis=1), {"axis": 1}, order=0, label="t")
    yield Case(
        name,
        (distinct(2, 3, 4),),
        lambda x: numpy_function(np.moveaxis(x, 1, 0).reshape(3, 8), axis=1),
        {"axis": (0, 2)},
        order=0,
    )


def logsumexp(x, axis, keepdims):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def amax(x, dim, keepdim):
    return torch.amax(x, dim=dim, keepdim=keepdim)


def amin(x, dim, keepdim):
    return torch.amin(x, dim=dim, keepdim=keepdim)


SUMS = [*WAYS, *NOTHING]
CASES = [
    *reductions("sum", np.sum, getattr(torch, "sum", None), SUMS),
    *reductions("mean", np.mean, getattr(torch, "mean", None), WAYS),
    *reductions("mean", quiet(np.mean), getattr(torch, "mean", None), NOTHING, order=0),
    *reductions("prod", np.prod, torch_prod, SUMS),
    *reductions("var", np.var, torch_var, [w for w in WAYS if w[0] not in ((), (3, 0))]),
    *reductions("std", np.std, None, [w for w in WAYS if w[0] not in ((), (1, 1))]),
    *reductions("max", np.max, amax, WAYS, distinct),
    *reductions("min", np.min, amin, WAYS, distinct),
    *reductions("logsumexp", logsumexp, getattr(torch, "logsumexp", None), WAYS),
    *[
        case
        for name in ("all", "any")
        for case in reductions(
            name, getattr(np, name), None, SUMS, lambda *s: draw(*s, seed="b") > 0.3, order=0
        )
    ],
    *positions("argmax"),
    *positions("argmin"),
    Case("sum", (INTEGERS,), lambda x: np.sum(x, axis=1), {"axis": 1}, order=0),
    Case("sum", (BITS,), lambda x: np.sum(x, axis=0), {"axis": 0}, order=0, label="count"),
    Case("sum", (np.full(9, 200, "uint8"),), np.sum, order=0, label="wide"),
    Case("sum", (draw(2, 3),), lambda x: x, {"axis": ()}, label="no-axis"),
    Case("max", (INTEGERS,), lambda x: np.max(x, axis=1), {"axis": 1}, order=0),
    Case("prod", (INTEGERS,), lambda x: np.prod(x, axis=1), {"axis": 1}, order=0),
    # zeros: none, one, two or three of them in what is multiplied
    Case(
        "prod",
        (ZEROS,),
        lambda x: np.prod(x, axis=0),
        {"axis": 0},
        torch=lambda x: torch.prod(x, dim=0),
        label="zeros",
    ),
    Case(
        "prod",
        (ZEROS,),
        lambda x: np.prod(x, axis=1),
        {"axis": 1},
        torch=lambda x: torch.prod(x, dim=1),
        label="zeros",
    ),
    *[
        Case(
            name,
            (draw(4, 5),),
            lambda x, name=name: getattr(np, name)(x, axis=0, ddof=1),
            {"axis": 0, "correction": 1},
            torch=lambda x, name=name: getattr(torch, name)(x, dim=0, correction=1),
        )
        for name in ("var", "std")
    ],
    Case("var", (draw(1, 3),), lambda x: np.full(3, np.nan), {"axis": 0, "correction": 1}, order=0),
    *[
        Case(
            name,
            (TIED,),
            lambda x, name=name, axis=axis: getattr(np, name)(x, axis=axis),
            {"axis": axis},
            torch=lambda x, name=name, axis=axis: getattr(torch, f"a{name}")(
                x, dim=wanted(axis, (2, 3))
            ),
            kink=True,
            label="ties",
        )
        for name in ("max", "min")
        for axis in (1, 0)
    ],
    Case(
        "logsumexp",
        (SCORES,),
        lambda x: scipy.special.logsumexp(x, axis=1),
        {"axis": 1},
        torch=lambda x: torch.logsumexp(x, dim=1),
        kink=True,  # no differences at infinity
        label="huge",
    ),
    Case(
        "logsumexp",
        (np.full((2, 2), -np.inf),),
        lambda x: np.full(2, -np.inf),
        {"axis": 1},
        order=0,
        label="minus-infinity",
    ),
    Case(
        "logsumexp",
        (np.array([[np.inf, 1.0], [np.nan, 1.0]]),),
        lambda x: np.array([np.inf, np.nan]),
        {"axis": 1},
        order=0,
        label="infinity",
    ),
    Case(
        "logsumexp",
        (np.zeros((0, 2)),),
        lambda x: np.full(2, -np.inf),
        {"axis": 0},
        order=0,
        label="nothing",
    ),
    *[
        Case(
            "cumsum",
            (draw(*shape),),
            lambda x, a=axis: np.cumsum(x, axis=a),
            {"axis": axis},
            torch=lambda x, a=axis: torch.cumsum(x, dim=a),
        )
        for shape, axis in [((2, 3, 4), 1), ((2, 3), -1), ((5,), 0), ((0, 2), 0), ((1, 1), 0)]
    ],
    Case(
        "cumsum",
        (draw(2, 4),),
        lambda x: np.cumsum(x[:, ::-1], axis=1)[:, ::-1],
        {"axis": 1, "reverse": True},
    ),
    Case("cumsum", (BITS,), lambda x: np.cumsum(x, axis=1), {"axis": 1}, order=0, label="count"),
]
