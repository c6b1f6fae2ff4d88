"""Activation functions: PyTorch's names and defaults, with ``axis`` for ``dim``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import cast, floating, unary, where
from tensorgraph.ops.reduction import sum  # noqa: A004  the op
from tensorgraph.ops.shape import axis_of
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.elementwise import clip
from tensorgraph_ops.functions import erf, exp, expm1, log1p, tanh

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


def _sigmoid(xp: Any, x: Any) -> Any:
    small = xp.exp(-xp.abs(x))  # never overflows
    return xp.where(x < 0, small, xp.ones_like(small)) / (1 + small)


relu = unary(
    "relu",
    "``x`` where it is positive, else 0; the gradient at 0 is 0.",
    lambda g, out: g * cast(out > 0.0, dtype=out.dtype),
    lambda xp, x: xp.maximum(x, 0),
)
sigmoid = unary(
    "sigmoid",
    "``1 / (1 + exp(-x))``, exact for large ``x`` of either sign.",
    lambda g, out: g * out * (1.0 - out),
    _sigmoid,
)


def leaky_relu(x: Tensor, *, negative_slope: float = 0.01) -> Tensor:
    """``x`` where it is positive, else ``negative_slope * x``."""
    return where(x > 0.0, x, x * negative_slope)


def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``."""
    positive = x > 0.0
    return where(positive, x, expm1(where(positive, 0.0, x)) * alpha)


def gelu(x: Tensor, *, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """``x`` times the normal distribution function at ``x``, or its approximation by ``tanh``.

    Source: D. Hendrycks and K. Gimpel, Gaussian Error Linear Units, arXiv:1606.08415.
    """
    if approximate == "none":
        return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1.0)
    if approximate != "tanh":
        raise ShapeError(f"gelu: approximate {approximate!r} is neither 'none' nor 'tanh'")
    inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
    return x * 0.5 * (tanh(inner) + 1.0)


def silu(x: Tensor) -> Tensor:
    """``x * sigmoid(x)``, also called swish."""
    return x * sigmoid(x)


def softplus(x: Tensor, *, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x > threshold``."""
    scaled = x * beta
    large = scaled > threshold
    return where(large, x, log1p(exp(where(large, 0.0, scaled))) / beta)


def hardtanh(x: Tensor, *, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``x`` held between ``min_val`` and ``max_val``."""
    floating("hardtanh", x)
    return clip(x, min=min_val, max=max_val)


def _shifted(xp: Any, x: Any, axis: int) -> Any:
    """``x`` less its largest, so that nothing overflows."""
    return x - xp.max(x, axis=axis, keepdims=True) if x.size else x


@op
def softmax(x: Shaped, *, axis: int = -1) -> Spec:
    """``exp(x)`` over its sum along ``axis``; the largest is subtracted first."""
    return Spec(x.shape, floating("softmax", x))


softmax.canonical(lambda x, *, axis: {"axis": axis_of("softmax", x, axis)})


@softmax.kernel
def _(xp: Any, x: Any, *, axis: int) -> Any:
    powers = xp.exp(_shifted(xp, x, axis))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


@softmax.vjp
def _(g: Tensor, out: Tensor, *, axis: int) -> Tensor:
    weighted = g * out
    return weighted - out * sum(weighted, axis=axis, keepdims=True)


@op
def log_softmax(x: Shaped, *, axis: int = -1) -> Spec:
    """The logarithm of ``softmax``, without computing it."""
    return Spec(x.shape, floating("log_softmax", x))


log_softmax.canonical(lambda x, *, axis: {"axis": axis_of("log_softmax", x, axis)})


@log_softmax.kernel
def _(xp: Any, x: Any, *, axis: int) -> Any:
    shifted = _shifted(xp, x, axis)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@log_softmax.vjp
def _(g: Tensor, out: Tensor, *, axis: int) -> Tensor:
    return g - exp(out) * sum(g, axis=axis, keepdims=True)
