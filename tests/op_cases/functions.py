"""Exponential, trigonometric and hyperbolic functions, and erf."""

import numpy as np
import scipy.special

import tensorgraph as tg
from op_cases.case import Case, draw

try:
    import torch
except ImportError:
    torch = None

SHAPES = [(2, 3), (), (1,), (0, 3)]
FUNCTIONS = {  # name: NumPy's or SciPy's, and where to draw from
    "exp": (np.exp, -3.0, 3.0),
    "expm1": (np.expm1, -3.0, 3.0),
    "log1p": (np.log1p, -0.8, 3.0),
    "sin": (np.sin, -7.0, 7.0),
    "cos": (np.cos, -7.0, 7.0),
    "tan": (np.tan, -1.3, 1.3),
    "asin": (np.arcsin, -0.9, 0.9),
    "acos": (np.arccos, -0.9, 0.9),
    "atan": (np.arctan, -5.0, 5.0),
    "sinh": (np.sinh, -3.0, 3.0),
    "cosh": (np.cosh, -3.0, 3.0),
    "tanh": (np.tanh, -3.0, 3.0),
    "erf": (scipy.special.erf, -3.0, 3.0),
}
TINY = np.array([1e-9, -1e-9, 3e-8, 0.0])
GRID = np.concatenate([np.linspace(-6.5, 6.5, 1301), [-1.0, 1.0]])
HUGE = np.array([-50.0, -7.0, -6.0, -1.0, 1.0, 5.9, 40.0])

CASES = [
    *[
        Case(name, (draw(*shape, low=low, high=high),), function, torch=getattr(torch, name, None))
        for name, (function, low, high) in FUNCTIONS.items()
        for shape in SHAPES
    ],
    *[
        # the test's tolerance is absolute near 0; scaled up, it is the relative error that counts
        Case(
            name,
            (TINY,),
            lambda x, function=FUNCTIONS[name][0]: function(x) * 1e9,
            call=lambda x, name=name: getattr(tg.ops, name)(x) * 1e9,
            order=0,
            label="relative",
        )
        for name in ("expm1", "log1p", "sin", "asin", "atan", "sinh", "tanh", "erf")
    ],
    *[
        Case(name, (HUGE,), FUNCTIONS[name][0], torch=getattr(torch, name, None), label="huge")
        for name in ("tanh", "erf", "atan")
    ],
    Case("erf", (np.array([np.inf, -np.inf, np.nan]),), scipy.special.erf, order=0, label="limits"),
    Case(
        "erf",
        (GRID, scipy.special.erf(GRID)),
        lambda x, want: np.zeros_like(x),
        call=lambda x, want: (tg.ops.erf(x) - want) * (1e5 if x.dtype == "float64" else 1.0),
        order=0,
        label="to-1e-15",
        tolerance=5e-7,
    ),
]
