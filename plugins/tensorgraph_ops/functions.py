"""Exponential, trigonometric and hyperbolic functions of each element."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorgraph.ops.elementwise import unary
from tensorgraph_ops.elementwise import rsqrt, square

if TYPE_CHECKING:
    from tensorgraph.ops.elementwise import Unary

exp = unary("exp", "``e ** x``.", lambda g, out: g * out)
expm1 = unary("expm1", "``e ** x - 1``, exact near 0.", lambda g, out: g * (out + 1.0))
log1p = unary("log1p", "``log(1 + x)``, exact near 0.", lambda g, x: g / (x + 1.0))
sin = unary("sin", "The sine, in radians.", lambda g, x: g * cos(x))
cos: Unary = unary("cos", "The cosine, in radians.", lambda g, x: -g * sin(x))
tan = unary("tan", "The tangent, in radians.", lambda g, out: g * (out * out + 1.0))
asin = unary(
    "asin",
    "The inverse sine, in radians.",
    lambda g, x: g * rsqrt(1.0 - x * x),
)
acos = unary(
    "acos",
    "The inverse cosine, in radians.",
    lambda g, x: -g * rsqrt(1.0 - x * x),
)
atan = unary("atan", "The inverse tangent, in radians.", lambda g, x: g / (x * x + 1.0))
sinh = unary("sinh", "The hyperbolic sine.", lambda g, x: g * cosh(x))
cosh: Unary = unary("cosh", "The hyperbolic cosine.", lambda g, x: g * sinh(x))
tanh = unary("tanh", "The hyperbolic tangent.", lambda g, out: g * (1.0 - out * out))


# S. L. Moshier, Cephes Mathematical Library, ndtr.c: erf(x) = x T(x^2) / U(x^2) up to 1, and
# 1 - erf(x) = exp(-x^2) P(x) / Q(x) from there on; the highest power first
# fmt: off
T = (
    9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3,
    7.00332514112805075473e3, 5.55923013010394962768e4,
)
U = (
    1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3,
    2.26290000613890934246e4, 4.92673942608635921086e4,
)
P = (
    2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0,
    4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2,
    9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2,
)
Q = (
    1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
    9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3,
    1.65666309194161350182e3, 5.57535340817727675546e2,
)
# fmt: on


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


def _erf(xp: Any, x: Any) -> Any:
    small = xp.clip(x, -1.0, 1.0)
    near = small * _polynomial(small * small, T) / _polynomial(small * small, U)
    large = xp.clip(xp.abs(x), 1.0, 6.0)  # beyond 6 it is 1 in float64
    far = xp.exp(-large * large) * _polynomial(large, P) / _polynomial(large, Q)
    return xp.where(xp.abs(x) < 1.0, near, xp.sign(x) * (1.0 - far))


erf = unary(
    "erf",
    "The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t * t)`` from 0 to ``x``.",
    lambda g, x: g * (exp(-square(x)) * (2.0 / math.sqrt(math.pi))),
    _erf,
)
