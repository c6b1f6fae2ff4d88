"""How CUDA spells each elementwise op, in one table.

A spelling is filled in with the operands ``{0}``, ``{1}``, …, the op's parameters by name, and the
letter ``{f}`` that C's mathematical functions of a float end in. What a comparison, an extreme or a
sign makes of NaN is what NumPy makes of it: see ``cuda/functions.cuh``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

WRAPPED = {"add", "subtract", "multiply", "negative", "square"}
SPELLINGS: dict[str, str] = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "negative": "-{0}",
    "abs": "magnitude({0})",
    "sign": "sign_of({0})",
    "square": "{0} * {0}",
    "reciprocal": "1 / {0}",
    "sqrt": "sqrt{f}({0})",
    "rsqrt": "1 / sqrt{f}({0})",
    "pow": "pow{f}({0}, {1})",
    "maximum": "larger({0}, {1})",
    "minimum": "smaller({0}, {1})",
    "relu": "larger({0}, {type}(0))",
    "clip": "{clipped}",
    "floor": "floor{f}({0})",
    "ceil": "ceil{f}({0})",
    "round": "rint{f}({0})",
    "exp": "exp{f}({0})",
    "expm1": "expm1{f}({0})",
    "log": "log{f}({0})",
    "log1p": "log1p{f}({0})",
    "sin": "sin{f}({0})",
    "cos": "cos{f}({0})",
    "tan": "tan{f}({0})",
    "asin": "asin{f}({0})",
    "acos": "acos{f}({0})",
    "atan": "atan{f}({0})",
    "sinh": "sinh{f}({0})",
    "cosh": "cosh{f}({0})",
    "tanh": "tanh{f}({0})",
    "erf": "erf{f}({0})",
    "sigmoid": "sigmoid({0})",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "logical_and": "{0} && {1}",
    "logical_or": "{0} || {1}",
    "logical_xor": "{0} != {1}",
    "logical_not": "!{0}",
    "isfinite": "is_finite({0})",
    "where": "{0} ? {1} : {2}",
    "cast": "{cast}",
    "unit_interval": "({type})({0} >> 8) * 0x1p-24f",  # of float32: 24 bits of a word
    # x, average, inverse, weight, bias
    "standardize": "({0} - {1}) * ({2} * {3}) + {4}",
    # g, x, average, inverse, weight, total, along; the share is one over the number of elements
    # that were standardised together
    "standardize_input": (
        "(({1} - {2}) * ({3} * {6} * -{share}) + {0} - {5} * {share}) * ({3} * {4})"
    ),
}

# dtype → the type in memory, and the one in registers
TYPES = {
    "bool": ("bool", "bool"),
    "int8": ("signed char", "signed char"),
    "int16": ("short", "short"),
    "int32": ("int", "int"),
    "int64": ("int64", "int64"),
    "uint8": ("uint8", "uint8"),
    "uint16": ("uint16", "uint16"),
    "uint32": ("uint32", "uint32"),
    "uint64": ("uint64", "uint64"),
    "bfloat16": ("bfloat16", "float"),
    "float32": ("float", "float"),
    "float64": ("double", "double"),
}
WORDS = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64"}  # to move elements of so many bytes
SIZES = {dtype: 2 if dtype == "bfloat16" else numpy.dtype(dtype).itemsize for dtype in TYPES}


def literal(number: Any, dtype: str) -> str:
    """A number of this dtype as CUDA reads it: exactly."""
    if dtype == "bool":
        return "true" if number else "false"
    kind = TYPES[dtype][1]
    if kind not in ("float", "double"):
        return f"{kind}({int(number)}{'u' if dtype.startswith('u') else ''}ll)"
    if math.isnan(number):
        return f"{kind}(NAN)"
    if math.isinf(number):
        return f"{kind}({'-' if number < 0 else ''}INFINITY)"
    return f"{numpy.float32(number)!s}f" if kind == "float" else repr(float(number))


def spelled(
    op: str, operands: Sequence[str], kinds: Sequence[str], dtype: str, params: Mapping[str, Any]
) -> str:
    """The expression of an op on named operands of these dtypes; ``dtype`` is that of its result,
    to which the caller converts it."""
    known = kinds[0] if kinds else dtype
    kind = TYPES[known][1]
    more: dict[str, str] = {"type": TYPES[dtype][1] if op == "unit_interval" else kind}
    if op == "clip":
        text = operands[0]
        for function, bound in (("larger", params["min"]), ("smaller", params["max"])):
            if bound is not None:
                text = f"{function}({text}, {literal(bound, known)})"
        more["clipped"] = text
    elif op == "cast":
        more["cast"] = f"{operands[0]} != 0" if dtype == "bool" else operands[0]
    elif op == "standardize_input":
        more["share"] = literal(params["share"], known)
    elif op in WRAPPED and known in ("int32", "int64"):  # C++ leaves open what signed
        operands = [f"(u{known}){x}" for x in operands]  # integers do when they overflow
    return SPELLINGS[op].format(*operands, f="f" if kind == "float" else "", **more)
