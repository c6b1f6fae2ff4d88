"""Activation functions against SciPy, float64 formulas and PyTorch."""

import numpy as np
import scipy.special

from op_cases.case import Case, draw
from tensorgraph.ops import exp, sigmoid

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = F = None

SHAPES = [(2, 3), (), (1,), (0, 3)]
EXTREME = np.array([-1000.0, -745.0, -90.0, -30.0, -19.0, 0.0, 19.0, 21.0, 30.0, 90.0, 1000.0])


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def elu(alpha):
    return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def softplus(beta):
    return lambda x: np.logaddexp(0, beta * x) / beta


# op, parameters, oracle
POINTWISE = [
    ("relu", {}, lambda x: np.maximum(x, 0)),
    ("leaky_relu", {}, lambda x: np.where(x > 0, x, 0.01 * x)),
    ("leaky_relu", {"negative_slope": 0.2}, lambda x: np.where(x > 0, x, 0.2 * x)),
    ("elu", {}, elu(1.0)),
    ("elu", {"alpha": 0.5}, elu(0.5)),
    ("gelu", {}, lambda x: x * scipy.special.ndtr(x)),
    ("gelu", {"approximate": "tanh"}, gelu_tanh),
    ("silu", {}, lambda x: x * scipy.special.expit(x)),
    ("sigmoid", {}, scipy.special.expit),
    ("softplus", {}, softplus(1.0)),
    ("softplus", {"beta": 2.0, "threshold": 50.0}, softplus(2.0)),
    ("hardtanh", {}, lambda x: np.clip(x, -1, 1)),
    ("hardtanh", {"min_val": -0.5, "max_val": 1.5}, lambda x: np.clip(x, -0.5, 1.5)),
]


def theirs(name, params):
    return F and (lambda x: getattr(F, name)(x, **params))


def normalised(name, oracle, shape, axis):
    return Case(
        name,
        (draw(*shape, low=-3, high=3),),
        lambda x: oracle(x, axis=axis) if x.size else x,
        {"axis": axis},
        torch=lambda x: getattr(torch, name)(x, dim=axis),
    )


BIG = np.array([[1000.0, 999.0, -1000.0], [-1000.0, -1000.5, -999.0]])
MASKED = np.array([[-np.inf, 0.0, 1.0], [2.0, -np.inf, -np.inf]])

CASES = [
    *[
        Case(name, (draw(*shape, away=0.1),), oracle, params, torch=theirs(name, params))
        for name, params, oracle in POINTWISE
        for shape in SHAPES
    ],
    # far from 0 nothing overflows; at 0 PyTorch says which side a kink takes
    *[
        Case(name, (EXTREME,), oracle, params, torch=theirs(name, params), kink=True, label="far")
        for name, params, oracle in POINTWISE
        if (name, params) != ("softplus", {})  # PyTorch drops what is below 2e-9 of it
    ],
    Case(
        "softplus",
        (EXTREME,),
        lambda x: np.where(x > 20, x, np.logaddexp(0, x)),
        torch=F and F.softplus,
        kink=True,
        label="far",
    ),
    Case(
        "sigmoid",  # as a relative error
        (np.array([-20.0, -37.0, -50.0]),),
        lambda x: 1 / (1 + np.exp(x)),
        call=lambda x: sigmoid(x) / exp(x),
        order=0,
        label="small",
    ),
    *[
        normalised(name, getattr(scipy.special, name), shape, axis)
        for name in ("softmax", "log_softmax")
        for shape, axis in [((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -2), ((1, 1), 1), ((0, 3), 1)]
    ],
    *[
        Case(
            name,
            (x,),
            lambda x, name=name: getattr(scipy.special, name)(x, axis=1),
            {"axis": 1},
            torch=lambda x, name=name: getattr(torch, name)(x, dim=1),
            kink=True,
            label=label,
        )
        for name in ("softmax", "log_softmax")
        for label, x in [("big", BIG), ("masked", MASKED)]
    ],
    Case("softmax", (draw(2, 3),), lambda x: scipy.special.softmax(x, axis=-1), label="last-axis"),
]
