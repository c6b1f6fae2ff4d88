"""The op ``plugin_name``."""

from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ShapeError
from tensorgraph.ops.elementwise import broadcast, floating


@tg.op
def plugin_name(x: tg.Shaped, y: tg.Shaped, *, eps: float = 1e-3) -> tg.Spec:
    """``sqrt(x**2 + y**2 + eps**2)``: how strong an edge with the slopes ``x`` and ``y`` is.

    This, the shape rule, says what comes out of which inputs, or refuses them.
    """
    if not eps > 0:
        raise ShapeError(f"plugin_name: eps={eps} is not a number above 0")
    shape = broadcast("plugin_name", x, y)
    return tg.Spec(shape, floating("plugin_name", x, y))


@plugin_name.kernel
def _(xp: Any, x: Any, y: Any, *, eps: float) -> Any:
    """The values, by the functions of any array module ``xp``."""
    return xp.sqrt(x * x + y * y + eps * eps)


@plugin_name.vjp
def _(g: tg.Tensor, out: tg.Tensor, x: tg.Tensor, y: tg.Tensor) -> Any:
    """The gradients of ``x`` and ``y``, where ``g`` is that of ``out``. They are made of ops,
    and so have gradients too; what was broadcast is summed by the engine."""
    g = g / out
    return lambda: g * x, lambda: g * y


def plugin_name_reference(x: Any, y: Any, eps: float = 1e-3) -> Any:
    """The same in NumPy: ``tensorgraph check`` compares the two."""
    import numpy  # not before: registering an op imports no array library

    return numpy.hypot(numpy.hypot(x, y), eps)
