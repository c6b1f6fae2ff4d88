"""Functions of vectors, lane by lane, and of all lanes of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tensorgraph_numba.kernels.lanes import FLAGS, I32, Vector, form_of, instruction, shuffle


@instruction
def convert(context: Any, v: Any, like: Any) -> Any:
    """Unsigned whole numbers as numbers of the type of ``like``."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.uitofp(arguments[0], form_of(signature.return_type))

    return Vector(like, v.count)(v, like), generate


@instruction
def select(context: Any, mask: Any, x: Any, y: Any) -> Any:
    """``x`` where the mask is set, else ``y``."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return x(mask, x, x), generate


def _larger(builder: Any, x: Any, y: Any) -> Any:
    larger = builder.select(builder.fcmp_ordered(">", y, x), y, x)  # x where one is NaN
    return builder.select(builder.fcmp_unordered("uno", y, y), y, larger)


@instruction
def maximum(context: Any, x: Any, y: Any) -> Any:
    """The larger of each lane; NaN where one is NaN."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _larger(builder, *arguments)

    return x(x, x), generate


def _reduced(v: Any, combine: Callable[[Any, Any, Any], Any]) -> Any:
    """Half of the lanes combined with the other half, until one is left."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, half = arguments[0], v.count // 2
        while half:
            moved = shuffle(builder, x, x, [(i + half) % v.count for i in range(v.count)])
            x, half = combine(builder, x, moved), half // 2
        return builder.extract_element(x, ir.Constant(I32, 0))

    return v.element(v), generate


@instruction
def total(context: Any, v: Any) -> Any:
    """The sum of the lanes."""
    return _reduced(v, lambda builder, x, y: builder.fadd(x, y, flags=FLAGS))


@instruction
def largest(context: Any, v: Any) -> Any:
    """The largest lane; NaN if one is NaN."""
    return _reduced(v, _larger)
