"""Arithmetic, comparisons, logic, where, clip, cast."""

import numpy as np

from op_cases.case import Case, draw
from tensorgraph.ops import log, where

try:
    import torch
except ImportError:
    torch = None

SHAPES = [
    ((3, 4), (4,)),
    ((4,), (3, 1)),
    ((2, 1, 3), (4, 1)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((), ()),
    ((1,), (1, 1)),
    ((0, 3), (3,)),
    ((1,), (2, 0)),
]
ONE = [(2, 3), (), (1,), (0, 3)]
TIED = (np.array([1.0, 2.0, -3.0, 0.0]), np.array([1.0, 1.5, -3.0, 0.5]))
INTEGERS = (np.array([[7, -2, 0], [4, 5, -9]]), np.array([2, 3, -1]))
BITS = (np.array([True, True, False, False]), np.array([[True], [False]]))
ODD = np.array([0.0, -1.5, np.inf, -np.inf, np.nan])


def pairs(name, numpy_function, apart=0.0, low=-2.0):
    """A case for each pair of shapes, with elements at least ``apart`` from each other and 0."""
    for xs, ys in SHAPES:
        x, y = draw(*xs, low=low, away=apart), draw(*ys, low=low, away=apart, seed="y")
        if apart:  # two grids of step 1 that are 0.5 apart: never a tie
            x, y = np.round(x), np.round(y) + 0.5
        yield Case(name, (x, y), numpy_function, torch=lambda x, y: getattr(torch, name)(x, y))


def unaries(name, numpy_function, torch_name=None, **where):
    for shape in ONE:
        yield Case(
            name,
            (draw(*shape, **where),),
            numpy_function,
            torch=lambda x: getattr(torch, torch_name or name)(x),
        )


def integers(name, numpy_function):
    return Case(name, INTEGERS, numpy_function, order=0, torch=getattr(torch, name, None))


def compared(name):
    """Comparisons of floats, of integers and of bools, with ties and NaN among them."""
    function = getattr(np, name)
    theirs = getattr(torch, {"equal": "eq"}.get(name, name), None)  # torch.equal is one bool
    nan = (np.append(TIED[0], np.nan), np.append(TIED[1], np.nan))
    for x, y in [TIED, nan, INTEGERS, (draw(0, 3), draw(3)), (draw(2, 3), draw()), BITS]:
        yield Case(name, (x, y), function, order=0, torch=theirs)


def held(label, low, high, *shape):
    return Case(
        "clip",
        (draw(*shape, seed="clip") + 0.01,),
        lambda x: np.minimum(np.maximum(x, -np.inf if low is None else low), high or np.inf),
        {"min": low, "max": high},
        torch=lambda x: torch.clip(x, low, high),
        label=label,
    )


def converted(values, dtype):
    return Case(
        "cast",
        (values,),
        lambda x: x.astype(dtype),
        {"dtype": dtype},
        order=0,
        torch=lambda x: x.to(getattr(torch, dtype)),
        label=str(values.dtype),
    )


MASK = np.array([[True, False, True], [False, False, True]])

CASES = [
    *pairs("add", np.add),
    *pairs("subtract", np.subtract),
    *pairs("multiply", np.multiply),
    *pairs("divide", np.divide, low=0.5),
    *pairs("pow", np.power, low=0.5),
    *pairs("maximum", np.maximum, apart=0.1),
    *pairs("minimum", np.minimum, apart=0.1),
    *[
        Case(name, TIED, getattr(np, name), order=1, torch=getattr(torch, name, None), label="ties")
        for name in ("maximum", "minimum")
    ],
    *[
        integers(name, getattr(np, name))
        for name in ("add", "subtract", "multiply", "maximum", "minimum")
    ],
    Case("divide", (draw(2, 3), -draw(3, low=0.5)), np.divide, torch=lambda x, y: x / y),
    # whole powers of negative numbers; y is not differentiated: log x does not exist there
    Case(
        "pow",
        (draw(2, 4),),
        lambda x: x ** np.array([3.0, 2.0, 1.0, 0.0]),
        call=lambda x: x ** x.constant([3.0, 2.0, 1.0, 0.0]),
        torch=lambda x: x ** torch.tensor([3.0, 2.0, 1.0, 0.0], dtype=x.dtype),
        label="whole",
    ),
    *[
        Case(
            "pow",
            (np.array([0.0, 0.0, 0.0, 2.0, -2.0]),),
            lambda x, y=y: x**y,
            call=lambda x, y=y: x**y,
            torch=lambda x, y=y: x**y,
            label=f"zero-to-{y}",
        )
        for y in (0, 1, 2, 3)
    ],
    Case(
        "pow",
        (np.array([0.0, 0.0, 1.5, 2.0]), np.array([0.0, 2.0, 0.0, -1.0])),
        np.power,
        kink=True,  # left of 0 there is no power
        torch=lambda x, y: x**y,
        call=lambda x, y: x**y,
        label="zeros",
    ),
    *unaries("negative", np.negative),
    *unaries("abs", np.abs, away=0.1),
    *unaries("sign", np.sign, away=0.1),
    *unaries("square", np.square),
    *unaries("reciprocal", np.reciprocal, low=0.3),
    *unaries("reciprocal", np.reciprocal, high=-0.3),
    *unaries("sqrt", np.sqrt, low=0.1),
    *unaries("rsqrt", lambda x: 1 / np.sqrt(x), low=0.1),
    *unaries("log", np.log, low=0.1),
    *unaries("floor", np.floor, seed="floor"),
    *unaries("ceil", np.ceil, seed="ceil"),
    *unaries("round", np.round, seed="round"),
    *[
        Case(name, (np.zeros(3),), function, order=0, torch=getattr(torch, name, None), label="0")
        for name, function in [("abs", np.abs), ("sign", np.sign)]
    ],
    Case("round", (np.array([0.5, 1.5, 2.5, -0.5, -2.5]),), np.round, order=0, label="ties"),
    *[
        Case(name, INTEGERS[:1], getattr(np, name), order=0, torch=getattr(torch, name, None))
        for name in ("negative", "abs", "sign", "square")
    ],
    *compared("equal"),
    *compared("not_equal"),
    *compared("less"),
    *compared("less_equal"),
    *compared("greater"),
    *compared("greater_equal"),
    *[
        Case(name, BITS, getattr(np, name), order=0, torch=getattr(torch, name, None))
        for name in ("logical_and", "logical_or", "logical_xor")
    ],
    *[
        Case(
            "logical_not", (x,), np.logical_not, order=0, torch=getattr(torch, "logical_not", None)
        )
        for x in (*BITS, np.array(True), np.zeros((0, 2), bool))
    ],
    *[
        Case("isfinite", (x,), np.isfinite, order=0, torch=getattr(torch, "isfinite", None))
        for x in (ODD, draw(0, 2), INTEGERS[0], np.array(np.nan))
    ],
    *[
        Case("where", inputs, np.where, torch=getattr(torch, "where", None))
        for inputs in [
            (MASK, draw(2, 3), draw(2, 3, seed="y")),
            (MASK, draw(), draw(3, seed="y")),
            (MASK[0], draw(2, 3), draw(2, 1, seed="y")),
            (np.array(True), draw(2, 3), draw(seed="y")),
            (np.zeros((0, 3), bool), draw(3), draw(1, seed="y")),
        ]
    ],
    # what is not chosen does not spoil the gradient of what is
    Case(
        "where",
        (np.array([-1.0, 0.5, 2.0]),),
        lambda x: np.where(x > 0, np.log(np.abs(x)), 0),
        call=lambda x: where(x > 0, log(where(x > 0, x, 1.0)), 0.0),
        torch=lambda x: torch.where(x > 0, torch.log(torch.where(x > 0, x, 1.0)), 0.0),
        label="masked",
    ),
    Case("where", (MASK, *[x[:1] for x in INTEGERS]), np.where, order=0, label="integers"),
    held("both", -0.5, 0.7, 3, 4),
    held("min", 0.2, None, 3, 4),
    held("max", None, 0.3, 3, 4),
    held("scalar", -0.1, 0.1),
    held("empty", -0.5, 0.5, 0, 2),
    Case("clip", (INTEGERS[0],), lambda x: np.clip(x, -3, 4), {"min": -3, "max": 4}, order=0),
    Case("clip", (ODD,), lambda x: np.clip(x, -1, 1), {"min": -1.0, "max": 1.0}, order=0),
    Case(
        "clip",
        (np.array([-0.5, 0.5, 0.0, 2.0]),),
        lambda x: np.clip(x, -0.5, 0.5),
        {"min": -0.5, "max": 0.5},
        kink=True,
        torch=lambda x: torch.clip(x, -0.5, 0.5),
        label="at-the-bounds",
    ),
    *[
        converted(x, dtype)
        for x in (INTEGERS[0], BITS[0], np.array([0.0, 2.7, -1.2]), np.zeros((0, 2)), np.array(3))
        for dtype in ("bool", "int32", "int64", "float16")
    ],
    Case("cast", (INTEGERS[0],), lambda x: x.astype("uint8"), {"dtype": "uint8"}, order=0),
]
