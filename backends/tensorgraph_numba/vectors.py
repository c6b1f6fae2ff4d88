"""The type of a vector of numbers in kernels, and the operators that take vectors.

Imported when a kernel is compiled: see ``late`` and ``kernels.lanes``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.core.typing.templates import signature as signature_of
from numba.extending import lower_builtin, models, register_model

from tensorgraph_numba.kernels.lanes import FLAGS, form_of


class Vector(types.Type):
    """``count`` numbers of the type ``element``; of booleans: a mask."""

    def __init__(self, element: Any, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(f"Vector({element}, {count})")

    @property
    def key(self) -> Any:
        return self.element, self.count


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Any) -> None:
        super().__init__(manager, vector, form_of(vector))


def _operator(function: Any, result: Callable[[Any], Any], build: Callable[..., Any]) -> None:
    """Let an operator take equal vectors; ``build(builder, vector, x, y)`` gives the value."""

    class Template(AbstractTemplate):
        key = function

        def generic(self, arguments: Any, keywords: Any) -> Any:
            v = arguments[0]
            if isinstance(v, Vector) and all(x == v for x in arguments):
                return signature_of(result(v), *arguments)
            return None

    def lower(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return build(builder, signature.args[0], *arguments)

    infer_global(function)(Template)
    lower_builtin(function, *[Vector] * (1 if function is operator.invert else 2))(lower)


def _itself(vector: Any) -> Any:
    return vector


def _mask(vector: Any) -> Any:
    return Vector(types.boolean, vector.count)


def _arithmetic(floating: str, integer: str) -> Callable[..., Any]:
    def build(builder: Any, vector: Any, x: Any, y: Any) -> Any:
        if isinstance(vector.element, types.Float):
            return getattr(builder, floating)(x, y, flags=FLAGS)
        return getattr(builder, integer)(x, y)

    return build


def _bitwise(name: str) -> Callable[..., Any]:
    return lambda builder, vector, *values: getattr(builder, name)(*values)


def _equal(builder: Any, vector: Any, x: Any, y: Any) -> Any:
    floating = isinstance(vector.element, types.Float)
    return (builder.fcmp_ordered if floating else builder.icmp_unsigned)("==", x, y)


_operator(operator.add, _itself, _arithmetic("fadd", "add"))
_operator(operator.sub, _itself, _arithmetic("fsub", "sub"))
_operator(operator.mul, _itself, _arithmetic("fmul", "mul"))
_operator(operator.eq, _mask, _equal)
_operator(operator.and_, _itself, _bitwise("and_"))
_operator(operator.xor, _itself, _bitwise("xor"))
_operator(operator.rshift, _itself, _bitwise("lshr"))
_operator(operator.invert, _itself, _bitwise("not_"))
