"""The op ``snake``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorgraph as tg
from tensorgraph import Shaped, Spec, op
from tensorgraph.errors import ConfigError, DtypeError, ShapeError

if TYPE_CHECKING:
    from tensorgraph import Tensor


@op
def snake(x: Shaped, a: Shaped) -> Spec:
    """``x + sin(a x)**2 / a``, for signals with a period (Ziyin et al., 2020); the frequency ``a``
    broadcasts to ``x``."""
    if x.dtype != a.dtype or x.dtype not in ("float32", "float64"):
        raise DtypeError(f"snake: x {x} and a {a} are not of one floating-point dtype; cast one")
    lead = x.ndim - a.ndim
    if lead < 0 or any(n not in (1, m) for n, m in zip(a.shape, x.shape[lead:], strict=True)):
        raise ShapeError(f"snake: the frequency a {a} does not broadcast to x {x}; reshape it")
    return Spec(x.shape, x.dtype)


@snake.kernel
def _(xp: Any, x: Any, a: Any) -> Any:
    return x + xp.sin(a * x) ** 2 / a


@snake.vjp
def _(g: Tensor, x: Tensor, a: Tensor) -> Any:
    def of_a() -> Tensor:
        wave = tg.ops.sin(x * a)
        return g * (x * tg.ops.sin(x * a * 2.0) - wave * wave / a) / a

    return lambda: g * (tg.ops.sin(x * a * 2.0) + 1.0), of_a


def activation(x: Tensor, *, a: float = 1.0) -> Tensor:
    """``snake`` with a frequency that is not learnt."""
    if a == 0:
        raise ConfigError("snake: a is 0; the frequency must be another number")
    return snake(x, a)


def reference(x: Any, a: Any = 1.0) -> Any:
    """The paper's other form of it, in NumPy: what ``tensorgraph check`` compares with."""
    import numpy

    return x + (1 - numpy.cos(2 * a * x)) / (2 * a)


def samples() -> list[Any]:
    """What it is checked with: a frequency for each number, for each channel, one for all."""
    import numpy

    x = numpy.linspace(-3, 3, 24).reshape(2, 3, 4)
    return [(x, numpy.cos(x) + 2), (x, numpy.array([[0.5], [1.5], [-2.0]])), (x, numpy.array(2.0))]


snake.reference = activation.reference = reference
snake.samples = samples
