"""Numbers side by side in a register, as expressions that emit LLVM code, and functions of them.

``Lanes`` stands for a value while code is generated: ``x * y + z`` emits a multiplication and an
addition. Additions of products may become one instruction with one rounding; nothing else is
rearranged, so NaN, infinities and signs are those of IEEE 754. The functions are polynomials for
float32; a single number of either dtype (``count`` 1) goes to the system's mathematical library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from tensorgraph_numba.late import cgutils

WIDTH = 128  # bytes that one step of a loop takes: 32 of float32, 16 of float64
INTEGERS = {"float32": ir.IntType(32), "float64": ir.IntType(64)}
FLOATS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
FUSED = ("contract",)  # what is without flags gets those of ``native.OPTIONS``


def number_of_lanes(dtype: str) -> int:
    """How many numbers one step of a loop takes."""
    return WIDTH // np.dtype(dtype).itemsize


class Lanes:
    """``count`` numbers of a dtype; one number where ``count`` is 1."""

    def __init__(self, builder: Any, value: Any, dtype: str, count: int) -> None:
        self.builder, self.value, self.dtype, self.count = builder, value, dtype, count

    def type_of(self, element: Any) -> Any:
        """The LLVM type of as many elements."""
        return element if self.count == 1 else ir.VectorType(element, self.count)

    def constant(self, value: float, element: Any = None) -> Any:
        """The same number in each lane."""
        element = element or FLOATS[self.dtype]
        return ir.Constant(
            self.type_of(element), value if self.count == 1 else [value] * self.count
        )

    def like(self, value: Any) -> Lanes:
        """An LLVM value, or a number in each lane."""
        value = value if isinstance(value, ir.Value) else self.constant(value)
        return Lanes(self.builder, value, self.dtype, self.count)

    def _raw(self, other: Lanes | float) -> Any:
        return other.value if isinstance(other, Lanes) else self.constant(other)

    def __add__(self, other: Lanes | float) -> Lanes:
        return self.like(self.builder.fadd(self.value, self._raw(other), flags=FUSED))

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self.like(self.builder.fsub(self.value, self._raw(other), flags=FUSED))

    def __rsub__(self, other: float) -> Lanes:
        return self.like(self.builder.fsub(self.constant(other), self.value, flags=FUSED))

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self.like(self.builder.fmul(self.value, self._raw(other), flags=FUSED))

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return self.like(self.builder.fdiv(self.value, self._raw(other), flags=FUSED))

    def __rtruediv__(self, other: float) -> Lanes:
        return self.like(self.builder.fdiv(self.constant(other), self.value, flags=FUSED))

    def __neg__(self) -> Lanes:
        return self.like(self.builder.fneg(self.value))

    def where(self, comparison: str, other: Lanes | float, yes: Any, no: Any) -> Lanes:
        """``yes`` where the comparison with ``other`` holds, else ``no``. With NaN it does not
        hold, but for "!=", which does, as in Python."""
        compare = self.builder.fcmp_unordered if comparison == "!=" else self.builder.fcmp_ordered
        holds = compare(comparison, self.value, self._raw(other), flags=FUSED)
        return self.like(self.builder.select(holds, self._raw(yes), self._raw(no)))

    def intrinsic(self, name: str) -> Lanes:
        """LLVM's own function of that name, such as "sqrt"."""
        kind = self.type_of(FLOATS[self.dtype])
        bits = 8 * np.dtype(self.dtype).itemsize
        form = f"f{bits}" if self.count == 1 else f"v{self.count}f{bits}"
        called = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kind, [kind]), f"llvm.{name}.{form}"
        )
        return self.like(self.builder.call(called, [self.value]))

    def library(self, name: str, *others: Lanes) -> Lanes:
        """The mathematical library's function, of one number."""
        kind = FLOATS[self.dtype]
        values = [self.value, *(other.value for other in others)]
        called = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, [kind] * len(values)),
            name + ("f" if self.dtype == "float32" else ""),
        )
        return self.like(self.builder.call(called, values))

    def bits(self) -> Any:
        """The same bits as integers."""
        return self.builder.bitcast(self.value, self.type_of(INTEGERS[self.dtype]))

    def from_bits(self, bits: Any) -> Lanes:
        return self.like(self.builder.bitcast(bits, self.type_of(FLOATS[self.dtype])))


def absolute(x: Lanes) -> Lanes:
    return x.intrinsic("fabs")


def larger(x: Lanes, y: Lanes) -> Lanes:
    """The larger, NaN if either is."""
    return x.where("==", x, x.where(">", y, x, y), x)


def smaller(x: Lanes, y: Lanes) -> Lanes:
    """The smaller, NaN if either is."""
    return x.where("==", x, x.where("<", y, x, y), x)


def polynomial(x: Lanes, coefficients: Any) -> Lanes:
    """The sum of ``coefficients[k] * x ** k``, by Horner's rule."""
    total = x.like(float(coefficients[-1]))
    for c in reversed(coefficients[:-1]):
        total = total * x + float(c)
    return total


def fitted(function: Callable[[float], float], low: float, high: float, degree: int) -> Any:
    """Coefficients of the polynomial through a function's values at the Chebyshev points."""
    interpolate: Any = np.polynomial.Chebyshev.interpolate
    found = interpolate(np.vectorize(function), degree, domain=[low, high])
    return found.convert(kind=np.polynomial.Polynomial).coef


# float32's log 2 in two parts: any whole number of a float32's exponent times the first is exact
LOG2_HIGH, LOG2_LOW = 0.693359375, -2.12194440e-4
ROUNDER = 1.5 * 2.0**23  # added to a number below 2 ** 22 it leaves a whole number in the last bits


def _split(x: Lanes) -> tuple[Lanes, Any, Lanes]:
    """``x = n * log(2) + r``, |r| < 0.35: n, n as integers, r."""
    shifted = x * (1 / math.log(2)) + ROUNDER
    whole = shifted - ROUNDER
    bias = int(np.float32(ROUNDER).view(np.int32))
    exponent = x.builder.sub(shifted.bits(), x.constant(bias, INTEGERS[x.dtype]))
    return whole, exponent, x - whole * LOG2_HIGH - whole * LOG2_LOW


def _power_of_two(x: Lanes, exponent: Any) -> Lanes:
    """2 to a whole number from -126 to 127."""
    integer = INTEGERS[x.dtype]
    biased = x.builder.add(exponent, x.constant(127, integer))
    return x.from_bits(x.builder.shl(biased, x.constant(23, integer)))


def exp(x: Lanes) -> Lanes:
    """e ** r by Taylor's series up to r ** 7, times 2 ** n in two factors that cannot overflow."""
    if x.count == 1:
        return x.library("exp")
    x = x.where("<", -110.0, -110.0, x)
    x = x.where(">", 110.0, 110.0, x)
    _, exponent, r = _split(x)
    series = polynomial(r, [1 / math.factorial(k) for k in range(8)])
    half = x.builder.ashr(exponent, x.constant(1, INTEGERS[x.dtype]))
    rest = x.builder.sub(exponent, half)
    return series * _power_of_two(x, half) * _power_of_two(x, rest)


def expm1(x: Lanes) -> Lanes:
    """2 ** n * (e ** r - 1) + (2 ** n - 1), halved so that 2 ** 128 does not occur."""
    if x.count == 1:
        return x.library("expm1")
    x = x.where("<", -30.0, -30.0, x)
    x = x.where(">", 89.0, 89.0, x)
    _, exponent, r = _split(x)
    series = r + r * r * polynomial(r, [1 / math.factorial(k) for k in range(2, 9)])
    half = _power_of_two(x, x.builder.sub(exponent, x.constant(1, INTEGERS[x.dtype])))
    return (half * series + (half - 0.5)) * 2.0


def log(x: Lanes) -> Lanes:
    """x = 2 ** n * (1 + r), 0.7 < 1 + r < 1.42: n log 2 + r - r * r / 2 + r ** 3 * polynomial."""
    if x.count == 1:
        return x.library("log")
    integer, build = INTEGERS[x.dtype], x.builder
    tiny = x.where("<", 2.0**-126, x * 2.0**23, x)
    lowest = x.constant(int(np.float32(math.sqrt(0.5)).view(np.int32)), integer)
    shift = x.constant(23, integer)
    exponent = build.ashr(build.sub(tiny.bits(), lowest), shift)
    r = x.from_bits(build.sub(tiny.bits(), build.shl(exponent, shift))) - 1.0
    n = x.like(build.sitofp(exponent, x.type_of(FLOATS[x.dtype])))
    n = n + x.where("<", 2.0**-126, -23.0, 0.0)
    coefficients = fitted(
        lambda t: (math.log1p(t) - t + t * t / 2) / t**3, math.sqrt(0.5) - 1, math.sqrt(2) - 1, 9
    )
    rest = r * r * r * polynomial(r, coefficients) + n * LOG2_LOW - r * r * 0.5
    found = n * LOG2_HIGH + (r + rest)
    found = x.where("==", math.inf, x, found)
    return x.where(">", 0.0, found, x.where("==", 0.0, -math.inf, math.nan))


def log1p(x: Lanes) -> Lanes:
    """log(1 + x), plus what the rounding of 1 + x has lost over 1 + x."""
    if x.count == 1:
        return x.library("log1p")
    total = x + 1.0
    lost = (x - (total - 1.0)) / total
    lost = total.where(">", 0.0, lost, 0.0)
    return log(total) + x.where("<", 2.0**24, lost, 0.0)


def tanh(x: Lanes) -> Lanes:
    """t / (t + 2), t = e ** 2|x| - 1, with the sign of x; it is 1 in float32 from 9.1 on."""
    if x.count == 1:
        return x.library("tanh")
    size = absolute(x)
    t = expm1(size.where(">", 10.0, 10.0, size) * 2.0)
    size = t / (t + 2.0)
    return x.where("<", 0.0, -size, x.where("==", 0.0, x, size))


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + e ** -|x|), times e ** -|x| where x is negative: exact for any x."""
    power = exp(-absolute(x))
    return x.where("<", 0.0, power, 1.0) / (power + 1.0)


def erf(x: Lanes) -> Lanes:
    """x + x * polynomial(x * x) up to 0.9, then 1 - e ** (|x| * polynomial(|x|)), 1 from 4 on."""
    if x.count == 1:
        return x.library("erf")
    near = fitted(lambda t: math.erf(math.sqrt(t)) / math.sqrt(t) - 1, 0.0, 0.82, 7)
    far = fitted(lambda t: math.log(math.erfc(t)) / t, 0.9, 4.0, 8)
    size = absolute(x)
    size = size.where(">", 4.0, 4.0, size)
    outside = 1.0 - exp(size * polynomial(size, far))
    outside = x.where("<", 0.0, -outside, outside)
    return size.where("<", 0.9, x * polynomial(x * x, near) + x, outside)
