"""Chains: a graph of elementwise ops as one CUDA kernel, generated from a list of its steps.

A chain runs over a space: the axes of the memory of its largest arrays, with axes joined that no
operand tells apart. An operand moves along an axis, or is the same all along it. What a chain
computes is stored, or summed up over an axis (``reduce.py``), or both, and nothing in between is
ever written to memory.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from tensorgraph_cupy.kernels.spelling import SIZES, TYPES, literal, spelled


class Operand(NamedTuple):
    """An array that is read or written: its dtype, and for each axis of the space whether it has
    elements of its own all along. Its memory has no gaps."""

    dtype: str
    moves: tuple[bool, ...]


class Step(NamedTuple):
    """One op: the numbers of its operands (inputs first, then steps, from 0), the dtype of its
    result, its parameters in pairs. The op ``constant`` has no operands and a ``value``."""

    op: str
    operands: tuple[int, ...]
    dtype: str
    params: tuple[tuple[str, Any], ...] = ()


class Reduction(NamedTuple):
    """The sum, the max or the min of a value over the reduced axis, and the dtype to store it in
    (float32 or bfloat16; it is computed in float)."""

    value: int
    how: str
    dtype: str


class Chain(NamedTuple):
    """``outputs`` pairs the number of a value with the dtype in which it is stored, over the whole
    space. ``after`` is what is made of the reductions once they are known, before anything of them
    is stored: a chain of one axis, the first inputs of which are they."""

    inputs: tuple[Operand, ...]
    steps: tuple[Step, ...]
    outputs: tuple[tuple[int, str], ...] = ()
    reductions: tuple[Reduction, ...] = ()
    after: Chain | None = None

    @property
    def ending(self) -> Chain:
        """What is made of the reductions; nothing but storing them, where nothing is said."""
        if self.after is not None:
            return self.after
        sums = tuple(Operand("float32", (True,)) for _ in self.reductions)
        return Chain(sums, (), tuple((i, r.dtype) for i, r in enumerate(self.reductions)))

    @property
    def beside(self) -> tuple[Operand, ...]:
        """The arrays that the ending reads."""
        return self.ending.inputs[len(self.reductions) :]

    @property
    def axes(self) -> int:
        return len(self.inputs[0].moves)

    def dtype(self, number: int) -> str:
        """The dtype of a value."""
        before = len(self.inputs)
        return self.inputs[number].dtype if number < before else self.steps[number - before].dtype

    def width(self) -> int:
        """How many neighbours a thread takes at a time: 16 bytes of the widest array that fills
        the space. What is smaller, such as a number for each channel, comes from the cache."""
        whole = [operand.dtype for operand in self.inputs if all(operand.moves)]
        sizes = [SIZES[dtype] for dtype in (*whole, *(dtype for _, dtype in self.outputs))]
        return 16 // max((2, *sizes))


class Steps:
    """Makes the steps of a chain with so many inputs: called with an op and the numbers of its
    operands, it gives the number of the result. What is asked for twice is computed once."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self._numbers: dict[Step, int] = {}

    def __call__(
        self, op: str, operands: Sequence[int], dtype: str = "float32", **params: Any
    ) -> int:
        step = Step(op, tuple(operands), dtype, tuple(params.items()))
        return self._numbers.setdefault(step, self.inputs + len(self._numbers))

    @property
    def all(self) -> tuple[Step, ...]:
        return tuple(self._numbers)


COMBINED = {"sum": "Sum", "max": "Largest", "min": "Smallest"}
HEAD = '#include "common.cuh"\n#include "functions.cuh"\n\n'


def body(chain: Chain) -> str:
    """What is common to all kernels that run a chain."""
    return HEAD + members(chain)


@functools.cache
def members(chain: Chain) -> str:
    """The struct ``Arrays`` of a chain's addresses and sizes, and ``run``, which computes ``WIDTH``
    neighbouring places."""
    places = [f"Count i{axis}" for axis in range(chain.axes)]
    sums = [f"float (&sums)[{len(chain.reductions)}][WIDTH]"] if chain.reductions else []
    return "\n".join(
        [
            "struct Arrays {",
            *[f"    {kind} {name};" for kind, name in _fields(chain)],
            "};",
            "",
            "template <int WIDTH>",
            f"__device__ __forceinline__ void run({', '.join(['const Arrays& a', *places, *sums])})"
            " {",
            *[f"    {line}" for line in _lines(chain)],
            "}",
        ]
    )


def _fields(chain: Chain) -> list[tuple[str, str]]:
    """The types and names of what a kernel is given."""
    ending = chain.ending
    found = [(f"const {TYPES[x.dtype][0]}*", f"x{i}") for i, x in enumerate(chain.inputs)]
    found += [(f"{TYPES[dtype][0]}*", f"y{i}") for i, (_, dtype) in enumerate(chain.outputs)]
    found += [(f"{TYPES[dtype][0]}*", f"z{i}") for i, (_, dtype) in enumerate(ending.outputs)]
    found += [(f"const {TYPES[x.dtype][0]}*", f"t{i}") for i, x in enumerate(chain.beside)]
    found += [("Count", f"n{axis}") for axis in range(chain.axes)]
    return found + [("float", f"s{i}") for i in range(len(chain.reductions))]


def _lines(chain: Chain) -> list[str]:
    """The statements of ``run``: load, compute, store."""
    lines, inner = [], []
    for i, x in enumerate(chain.inputs):
        at = _place(x.moves)
        if x.moves[-1]:
            lines.append(f"const auto p{i} = load_items<WIDTH>(a.x{i} + {at});")
            inner.append(f"const {TYPES[x.dtype][1]} v{i} = value(p{i}.items[j]);")
        else:
            lines.append(f"const {TYPES[x.dtype][1]} v{i} = value(a.x{i}[{at}]);")
    inner += _steps(chain)
    whole = _place((True,) * chain.axes)
    for i, (number, dtype) in enumerate(chain.outputs):
        lines.append(f"Items<{TYPES[dtype][0]}, WIDTH> q{i};")
        inner.append(f"store(q{i}.items[j], v{number});")
    for i, reduction in enumerate(chain.reductions):
        combine = f"{COMBINED[reduction.how]}()"
        inner.append(f"sums[{i}][j] = {combine}(sums[{i}][j], v{reduction.value});")
    lines += ["#pragma unroll", "for (int j = 0; j < WIDTH; ++j) {"]
    lines += [f"    {line}" for line in inner]
    lines += ["}"]
    return lines + [f"store_items(a.y{i} + {whole}, q{i});" for i in range(len(chain.outputs))]


def _steps(chain: Chain) -> list[str]:
    """A statement for each step, which reads the values v0, v1, …"""
    lines = []
    for number, step in enumerate(chain.steps, len(chain.inputs)):
        kinds = [chain.dtype(i) for i in step.operands]
        operands = [f"v{i}" for i in step.operands]
        params = dict(step.params)
        if step.op == "constant":
            text = literal(params["value"], step.dtype)
        else:
            text = spelled(step.op, operands, kinds, step.dtype, params)
        lines.append(f"const {TYPES[step.dtype][1]} v{number} = {text};")
    return lines


def finish(chain: Chain) -> list[str]:
    """The statements that make of the reductions of one place, ``sums``, what is stored there."""
    ending, before = chain.ending, len(chain.reductions)
    lines = [f"const float v{i} = sums[{i}] * a.s{i};" for i in range(before)]
    for i, x in enumerate(chain.beside):
        at = "at" if x.moves[0] else "0"
        lines.append(f"const {TYPES[x.dtype][1]} v{before + i} = value(a.t{i}[{at}]);")
    lines += _steps(ending)
    return lines + [f"store(a.z{i}[at], v{n});" for i, (n, _) in enumerate(ending.outputs)]


def _place(moves: Sequence[bool]) -> str:
    """Where an operand has its element: the number, row-major, of the axes along which it moves."""
    text = ""
    for axis, moving in enumerate(moves):
        if moving:
            before = f"({text})" if "+" in text else text
            text = f"{before} * a.n{axis} + i{axis}" if text else f"i{axis}"
    return text or "0"


def declared(chain: Chain) -> str:
    """The parameters of a kernel that stand for the fields of ``Arrays``."""
    return ", ".join(f"{kind} {name}" for kind, name in _fields(chain))


def filled(chain: Chain) -> str:
    """``Arrays``, made from those parameters."""
    return f"const Arrays a = {{{', '.join(name for _, name in _fields(chain))}}};"
