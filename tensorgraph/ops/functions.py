"""Exponential, trigonometric and hyperbolic functions of each element."""

from __future__ import annotations

from tensorgraph.ops.elementwise import rsqrt, unary

exp = unary("exp", "``e ** x``.", lambda g, out: g * out)
expm1 = unary("expm1", "``e ** x - 1``, exact near 0.", lambda g, out: g * (out + 1.0))
log1p = unary("log1p", "``log(1 + x)``, exact near 0.", lambda g, x: g / (x + 1.0))
sin = unary("sin", "The sine, in radians.", lambda g, x: g * cos(x))
cos = unary("cos", "The cosine, in radians.", lambda g, x: -g * sin(x))
tan = unary("tan", "The tangent, in radians.", lambda g, out: g * (out * out + 1.0))
asin = unary(
    "asin",
    "The inverse sine, in radians.",
    lambda g, x: g * rsqrt(1.0 - x * x),
    lambda xp, x: xp.arcsin(x),
)
acos = unary(
    "acos",
    "The inverse cosine, in radians.",
    lambda g, x: -g * rsqrt(1.0 - x * x),
    lambda xp, x: xp.arccos(x),
)
atan = unary(
    "atan",
    "The inverse tangent, in radians.",
    lambda g, x: g / (x * x + 1.0),
    lambda xp, x: xp.arctan(x),
)
sinh = unary("sinh", "The hyperbolic sine.", lambda g, x: g * cosh(x))
cosh = unary("cosh", "The hyperbolic cosine.", lambda g, x: g * sinh(x))
tanh = unary("tanh", "The hyperbolic tangent.", lambda g, out: g * (1.0 - out * out))
