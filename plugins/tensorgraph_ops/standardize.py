"""What normalisations are made of: the mean and the variance over axes, the standardised value,
and its gradients.

``average`` and ``inverse`` below are functions of ``x`` alone: its mean, and one over the root of
its variance plus a constant, over the axes along which they have size 1. The gradient rules count
on that: what the mean and the deviation contribute is part of the gradient in ``x``, in the closed
form ``inverse * (g - mean(g) - y * mean(g * y))`` with ``y = (x - average) * inverse``, so that
``average`` gets none. It holds to every order, since ``average`` and ``inverse`` carry graphs of
their own. With other numbers in their place only the values are right; write the arithmetic out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import broadcast, floating
from tensorgraph.ops.reduction import axes_of, reduced
from tensorgraph.ops.shape import broadcast_to, sum_to
from tensorgraph.spec import Shaped, Spec

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]


def _share(x: Shaped, average: Shaped) -> float:
    """One over the number of elements that each mean is of; of none, NaN."""
    n = math.prod(size for size, kept in zip(x.shape, average.shape) if kept == 1)
    return 1 / n if n else math.nan


def _checked(name: str, x: Shaped, *kept: Shaped) -> str:
    """The dtype, of what stands beside ``x`` with size 1 along the reduced axes."""
    dtype = floating(name, x, *kept)
    for t in kept:
        if t.ndim != x.ndim or broadcast(name, x, t) != x.shape:
            raise ShapeError(
                f"{name}: {Spec(t.shape, t.dtype)} does not stand beside {Spec(x.shape, x.dtype)}: "
                "it needs as many axes, each of the same size or of size 1"
            )
    return dtype


def _uniform(weight: Shaped, average: Shaped) -> bool:
    """Whether the weight is the same for all elements that are standardised together."""
    return weight.shape in ((), average.shape)


@op
def axis_mean(x: Shaped, *, axis: Any) -> Spec:
    """The mean over one axis or several, which are kept with size 1; of nothing, NaN."""
    return Spec(reduced(x, axis, True), floating("axis_mean", x))


axis_mean.canonical(lambda x, *, axis: {"axis": axes_of("axis_mean", x, axis)})
axis_mean.flops(lambda out, x, **_: x.size)


@axis_mean.kernel
def _(xp: Any, x: Any, *, axis: Ints) -> Any:
    total = xp.sum(x, axis=axis, keepdims=True)
    return total * _share(x, total)


@axis_mean.vjp
def _(g: Tensor, x: Shaped) -> Tensor:
    return broadcast_to(g * _share(x, g), shape=x.shape)


@op
def axis_variance(x: Shaped, average: Shaped) -> Spec:
    """The mean square of ``x - average``, over the axes along which ``average`` has size 1.

    ``average`` is the mean of ``x``, a part of whose gradient it is: moving it changes nothing.
    """
    return Spec(average.shape, _checked("axis_variance", x, average))


axis_variance.flops(lambda out, x, average: 3 * x.size)


@axis_variance.kernel
def _(xp: Any, x: Any, average: Any) -> Any:
    deviation = x - average
    deviation *= deviation
    axes = tuple(i for i, n in enumerate(average.shape) if n == 1)
    return xp.sum(deviation, axis=axes, keepdims=True) * _share(x, average)


@axis_variance.vjp
def _(g: Tensor, x: Tensor, average: Tensor) -> Any:
    return (x - average) * (g * (2 * _share(x, average))), None


@op
def standardize(x: Shaped, average: Shaped, inverse: Shaped, weight: Any, bias: Any) -> Spec:
    """``(x - average) * inverse * weight + bias``.

    ``average`` and ``inverse`` are those of ``x``; ``weight`` and ``bias``, tensors or
    numbers, broadcast to ``x``.
    """
    dtype = _checked("standardize", x, average, inverse)
    floating("standardize", x, weight, bias)
    for t in (weight, bias):
        if broadcast("standardize", x, t) != x.shape:
            raise ShapeError(
                f"standardize: {Spec(t.shape, t.dtype)} does not broadcast to "
                f"{Spec(x.shape, x.dtype)}"
            )
    return Spec(x.shape, dtype)


standardize.flops(lambda out, *_: 4 * out.size)


@standardize.kernel
def _(xp: Any, x: Any, average: Any, inverse: Any, weight: Any, bias: Any) -> Any:
    out = x - average
    if _uniform(weight, average):
        out *= inverse * weight
    else:
        out *= inverse
        out *= weight
    out += bias
    return out


@standardize.vjp
def _(g: Tensor, x: Tensor, average: Tensor, inverse: Tensor, weight: Tensor, bias: Shaped) -> Any:
    if not _uniform(weight, average):
        return (
            lambda: _through(g * weight, x, average, inverse),
            None,
            None,
            lambda: standardize_weight(g, x, average, inverse, shape=weight.shape),
            g,
        )
    total = sum_to(g, shape=average.shape)
    along = standardize_weight(g, x, average, inverse, shape=average.shape)
    return (
        lambda: standardize_input(g, x, average, inverse, weight, total, along),
        None,
        None,
        along,
        total if _uniform(bias, average) else g,
    )


def _through(g: Tensor, x: Tensor, average: Tensor, inverse: Tensor) -> Tensor:
    """The gradient in ``x`` where ``g`` is that of the standardised value."""
    total = sum_to(g, shape=average.shape)
    along = standardize_weight(g, x, average, inverse, shape=average.shape)
    return standardize_input(g, x, average, inverse, 1.0, total, along)


@op
def standardize_weight(
    g: Shaped, x: Shaped, average: Shaped, inverse: Shaped, *, shape: Ints
) -> Spec:
    """``g * (x - average) * inverse``, summed to ``shape``: the gradient of ``standardize`` in its
    weight. ``average`` and ``inverse`` are those of ``x``."""
    dtype = _checked("standardize_weight", x, g, average, inverse)
    if g.shape != x.shape or broadcast("standardize_weight", x, Spec(shape)) != x.shape:
        raise ShapeError(
            f"standardize_weight: {Spec(g.shape, dtype)} times {Spec(x.shape, dtype)} does not sum "
            f"to {list(shape)}"
        )
    return Spec(shape, dtype)


standardize_weight.canonical(lambda *_, shape: {"shape": tuple(shape)})
standardize_weight.flops(lambda out, g, *_, **__: 4 * g.size)


@standardize_weight.kernel
def _(xp: Any, g: Any, x: Any, average: Any, inverse: Any, *, shape: Ints) -> Any:
    product = x - average
    product *= g
    if shape != average.shape:
        product *= inverse
    lead = product.ndim - len(shape)
    axes = [i for i in range(product.ndim) if i < lead or shape[i - lead] == 1]
    total = xp.sum(product, axis=tuple(axes), keepdims=True)
    return total * inverse if shape == average.shape else xp.reshape(total, shape)


@standardize_weight.vjp
def _(c: Tensor, g: Tensor, x: Tensor, average: Tensor, inverse: Tensor) -> Any:
    return (
        lambda: standardize(x, average, inverse, c, 0.0),
        lambda: _through(g * c, x, average, inverse),
        None,
        None,
    )


@op
def standardize_input(
    g: Shaped,
    x: Shaped,
    average: Shaped,
    inverse: Shaped,
    weight: Any,
    total: Shaped,
    along: Shaped,
) -> Spec:
    """``inverse * weight * (g - total / n - (x - average) * inverse * along / n)``: the gradient of
    ``standardize`` in ``x``, where ``weight`` is a number or has the shape of ``average``.

    ``total`` is the sum of ``g`` over the ``n`` elements that were standardised together, and
    ``along`` that of ``g * (x - average) * inverse``; ``average`` and ``inverse`` are those of
    ``x``.
    """
    dtype = _checked("standardize_input", x, g, average, inverse, total, along)
    floating("standardize_input", x, weight)
    if g.shape != x.shape or not _uniform(weight, average):
        raise ShapeError(
            f"standardize_input: g {Spec(g.shape, dtype)} needs the shape of x "
            f"{Spec(x.shape, dtype)}, and the weight {Spec(weight.shape, dtype)} that of average "
            f"{Spec(average.shape, dtype)}"
        )
    return Spec(x.shape, dtype)


standardize_input.flops(lambda out, *_: 5 * out.size)


@standardize_input.kernel
def _(
    xp: Any, g: Any, x: Any, average: Any, inverse: Any, weight: Any, total: Any, along: Any
) -> Any:
    share = _share(x, average)
    out = x - average
    out *= inverse * along * -share
    out += g
    out -= total * share
    out *= inverse * weight
    return out


@standardize_input.vjp
def _(
    c: Tensor,
    g: Tensor,
    x: Tensor,
    average: Tensor,
    inverse: Tensor,
    weight: Tensor,
    total: Tensor,
    along: Tensor,
) -> Any:
    share = _share(x, average)
    scale = inverse * weight
    summed = sum_to(c, shape=average.shape)
    crossed = standardize_weight(c, x, average, inverse, shape=average.shape)
    # the sum of c times what is scaled: linear in both scales, of which inverse depends on x
    unscaled = sum_to(c * g, shape=average.shape) - (total * summed + along * crossed) * share
    return (
        lambda: c * scale,
        lambda: _through(c * (scale * along * -share), x, average, inverse),
        None,
        lambda: unscaled * weight,
        lambda: unscaled * inverse,
        lambda: scale * summed * -share,
        lambda: scale * crossed * -share,
    )
