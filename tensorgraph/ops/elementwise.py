"""Arithmetic and functions of each element, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from tensorgraph.errors import DtypeError, ShapeError
from tensorgraph.op import Op, op
from tensorgraph.spec import DTYPES, Shaped, Spec, is_floating

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

    Operand: TypeAlias = Tensor | float
    Unary: TypeAlias = Op[[Operand]]
    Binary: TypeAlias = Op[[Operand, Operand]]
Function = Callable[..., Any]
Maybe = Function | None


def broadcast(name: str, *xs: Shaped) -> tuple[int, ...]:
    """The shape that these shapes broadcast to."""
    shape: list[int] = []
    for sizes in zip(*[(1,) * (max(x.ndim for x in xs) - x.ndim) + x.shape for x in xs]):
        wide = {n for n in sizes if n != 1}
        if len(wide) > 1:
            raise ShapeError(f"{name}: cannot broadcast {' with '.join(map(_text, xs))}")
        shape.append(wide.pop() if wide else 1)
    return tuple(shape)


def _text(x: Shaped) -> str:
    return str(Spec(x.shape, x.dtype))


def one_dtype(name: str, *xs: Shaped) -> str:
    """The dtype that all of these have."""
    if len({x.dtype for x in xs}) > 1:
        raise DtypeError(
            f"{name}: dtypes differ: {' and '.join(map(_text, xs))}; cast one: "
            f"tg.ops.cast(x, dtype={xs[0].dtype!r})"
        )
    return xs[0].dtype


def floating(name: str, *xs: Shaped) -> str:
    """The floating-point dtype that all of these have."""
    dtype = one_dtype(name, *xs)
    if not is_floating(dtype):
        raise DtypeError(
            f"{name}: needs floating point, not {_text(xs[0])}; cast it: "
            "tg.ops.cast(x, dtype='float32')"
        )
    return dtype


def numeric(name: str, *xs: Shaped) -> str:
    """The dtype that all of these have, which is not bool."""
    dtype = one_dtype(name, *xs)
    if dtype == "bool":
        raise DtypeError(
            f"{name}: needs numbers, not {_text(xs[0])}; cast it: tg.ops.cast(x, dtype='float32')"
        )
    return dtype


def boolean(name: str, *xs: Shaped) -> str:
    """The dtype bool, which all of these have."""
    if {x.dtype for x in xs} != {"bool"}:
        raise DtypeError(
            f"{name}: needs bool, not {' and '.join(map(_text, xs))}; compare first: x != 0"
        )
    return "bool"


def _declare(rule: Function, name: str, doc: str, vjp: Maybe, kernel: Maybe) -> Op[...]:
    rule.__name__, rule.__doc__ = name, doc
    declared = op(rule)
    declared.kernel(kernel or (lambda xp, *xs: getattr(xp, name)(*xs)))
    if vjp is not None:
        declared.vjp(vjp)
    return declared


def unary(
    name: str, doc: str, vjp: Maybe = None, kernel: Maybe = None, *, dtype: Function = floating
) -> Unary:
    """An op on each element of one tensor, by default the array library's of that name.

    ``dtype(name, x)`` gives the dtype of the output, or refuses that of ``x``.
    """

    def rule(x: Shaped) -> Spec:
        return Spec(x.shape, dtype(name, x))

    return _declare(rule, name, doc, vjp, kernel)


def binary(
    name: str, doc: str, vjp: Maybe = None, kernel: Maybe = None, *, dtype: Function = numeric
) -> Binary:
    """An op on the elements of two tensors that broadcast."""

    def rule(x: Shaped, y: Shaped) -> Spec:
        return Spec(broadcast(name, x, y), dtype(name, x, y))

    return _declare(rule, name, doc, vjp, kernel)


add = binary("add", "``x + y``.", lambda g: (g, g))
subtract = binary("subtract", "``x - y``.", lambda g: (g, lambda: -g))
multiply = binary("multiply", "``x * y``.", lambda g, x, y: (lambda: g * y, lambda: g * x))
divide = binary(
    "divide",
    "``x / y``, of floating-point tensors.",
    lambda g, out, y: (lambda: g / y, lambda: -g * out / y),
    dtype=floating,
)


def no_gradient(g: Tensor) -> None:
    """The rule of an op that is flat wherever it has a derivative."""


def of_numbers(name: str) -> Function:
    """The array library's function of that name; where it takes no booleans, as in the array API
    standard, it is given integers in their place."""

    def kernel(xp: Any, *xs: Any, **params: Any) -> Any:
        try:
            return getattr(xp, name)(*xs, **params)
        except TypeError:
            if xs[0].dtype != xp.bool:
                raise
            return getattr(xp, name)(*[xp.astype(x, xp.int64) for x in xs], **params)

    return kernel


def _compared(name: str, *xs: Shaped) -> str:
    one_dtype(name, *xs)
    return "bool"


negative = unary("negative", "``-x``.", lambda g: -g, dtype=numeric)
abs = unary(
    "abs", "The absolute value; its gradient at 0 is 0.", lambda g, x: g * sign(x), dtype=numeric
)
sign: Unary = unary("sign", "-1, 0 or 1; its gradient is 0.", no_gradient, dtype=numeric)
sqrt = unary("sqrt", "The square root.", lambda g, out: g * 0.5 / out)

equal = binary("equal", "``x == y``.", dtype=_compared)
not_equal = binary("not_equal", "``x != y``.", dtype=_compared)
less = binary("less", "``x < y``.", None, of_numbers("less"), dtype=_compared)
less_equal = binary("less_equal", "``x <= y``.", None, of_numbers("less_equal"), dtype=_compared)
greater = binary("greater", "``x > y``.", None, of_numbers("greater"), dtype=_compared)
greater_equal = binary(
    "greater_equal", "``x >= y``.", None, of_numbers("greater_equal"), dtype=_compared
)
logical_and = binary("logical_and", "``x and y``.", dtype=boolean)
logical_or = binary("logical_or", "``x or y``.", dtype=boolean)
logical_not = unary("logical_not", "``not x``.", dtype=boolean)


def _where(condition: Shaped, x: Shaped, y: Shaped) -> Spec:
    boolean("where", condition)
    return Spec(broadcast("where", condition, x, y), one_dtype("where", x, y))


where: Op[[Tensor, Operand, Operand]] = _declare(
    _where,
    "where",
    "``x`` where ``condition`` holds, else ``y``; the other's gradient there is 0.",
    lambda g, condition: (None, lambda: where(condition, g, 0.0), lambda: where(condition, 0.0, g)),
    None,
)


@op
def cast(x: Shaped, *, dtype: str) -> Spec:
    """The same values in another dtype: "bool", "int64", "float32", …."""
    if dtype not in DTYPES:
        raise DtypeError(f"cast: dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    return Spec(x.shape, dtype)


@cast.kernel
def _astype(xp: Any, x: Any, *, dtype: str) -> Any:
    if hasattr(x, "astype"):  # a method, where arrays have it, takes scalars too, and less time
        return x.astype(dtype)
    if not hasattr(xp, dtype):
        raise DtypeError(f"cast: {xp.__name__} has no {dtype}; choose another dtype")
    return xp.astype(x, getattr(xp, dtype))


@cast.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return cast(g, dtype=x.dtype)
