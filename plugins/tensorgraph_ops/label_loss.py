"""The cross-entropy of scores and class labels as one op, and its gradient as another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tensorgraph.errors import DtypeError, ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import cast, floating
from tensorgraph.ops.reduction import sum  # noqa: A004  the op
from tensorgraph.ops.shape import broadcast_to
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.activation import softmax
from tensorgraph_ops.axes import expand_dims

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def known_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ShapeError(f"{name}: reduction {reduction!r} is not one of mean, sum, none")


def class_axis(x: Shaped) -> int:
    """The axis of the classes in scores (C,) or (N, C, …)."""
    return min(x.ndim - 1, 1)


def labels_shape(x: Shaped) -> tuple[int, ...]:
    """The shape of the labels of such scores: () or (N, …)."""
    axis = class_axis(x)
    return x.shape[:axis] + x.shape[axis + 1 :]


def _losses(name: str, x: Shaped, labels: Shaped, reduction: str) -> Spec:
    """The spec of the losses of these scores and labels, after checks."""
    known_reduction(name, reduction)
    dtype = floating(name, x)
    if not x.ndim or x.shape[class_axis(x)] == 0 or labels.shape != labels_shape(x):
        raise ShapeError(
            f"{name}: scores {Spec(x.shape, x.dtype)} do not fit labels "
            f"{Spec(labels.shape, labels.dtype)}; give (C,) and (), or (N, C, …) and (N, …)"
        )
    if labels.dtype != "int64":
        raise DtypeError(f"{name}: labels are int64, not {labels.dtype}; cast them")
    return Spec(labels.shape if reduction == "none" else (), dtype)


def _shifted(xp: Any, x: Any, axis: int) -> Any:
    """``x`` less its largest score, so that nothing overflows; in memory of its own."""
    return x - xp.max(x, axis=axis, keepdims=True) if x.size else xp.zeros_like(x)


@op
def label_cross_entropy(
    x: Shaped, labels: Shaped, *, ignore_index: int, reduction: Reduction
) -> Spec:
    """Minus the logarithm of ``softmax(x)`` at each label: x (C,) or (N, C, …), labels () or
    (N, …), int64.

    A label ``ignore_index`` has loss 0 and does not count in the mean; of any other outside
    0 … C-1 the loss is NaN, and its gradient 0. The mean of nothing is NaN.
    """
    return _losses("label_cross_entropy", x, labels, reduction)


label_cross_entropy.flops(lambda out, x, labels, **_: 4 * x.size)


@label_cross_entropy.kernel
def _(xp: Any, x: Any, labels: Any, *, ignore_index: int, reduction: Reduction) -> Any:
    axis = class_axis(x)
    scores = _shifted(xp, x, axis)
    counted = labels != ignore_index
    chosen = (labels >= 0) & (labels < x.shape[axis])
    at = xp.expand_dims(xp.where(chosen, labels, xp.zeros_like(labels)), axis=axis)
    loss = -xp.squeeze(xp.take_along_axis(scores, at, axis=axis), axis=axis)
    loss = loss + xp.log(xp.sum(xp.exp(scores), axis=axis))
    loss = xp.where(chosen, loss, xp.full_like(loss, math.nan))
    loss = xp.where(counted, loss, xp.zeros_like(loss))
    if reduction == "none":
        return loss
    total = xp.sum(loss)
    if reduction == "sum":
        return total
    count = _count(xp, counted, x.dtype)
    return total / xp.where(count > 0, count, xp.full_like(count, math.nan))


def _count(xp: Any, counted: Any, dtype: Any) -> Any:
    """How many labels count, as a floating-point number."""
    return xp.astype(xp.asarray(xp.sum(xp.astype(xp.asarray(counted), xp.int64))), dtype)


@label_cross_entropy.vjp
def _(g: Tensor, x: Tensor, labels: Tensor, *, ignore_index: int, reduction: Reduction) -> Any:
    gx = label_cross_entropy_input(g, x, labels, ignore_index=ignore_index, reduction=reduction)
    return gx, None


@op
def label_cross_entropy_input(
    g: Shaped, x: Shaped, labels: Shaped, *, ignore_index: int, reduction: Reduction
) -> Spec:
    """The gradient of ``label_cross_entropy`` in ``x``: ``g * (softmax(x) - one_hot(labels))``, for
    a mean over the number of labels that count; 0 where a label does not or is no class.

    ``g`` is that of the loss: () or, for "none", of the shape of ``labels``.
    """
    loss = _losses("label_cross_entropy_input", x, labels, reduction)
    floating("label_cross_entropy_input", x, g)
    if g.shape != loss.shape:
        raise ShapeError(
            f"label_cross_entropy_input: g {Spec(g.shape, g.dtype)} is not the gradient of {loss}"
        )
    return Spec(x.shape, loss.dtype)


label_cross_entropy_input.flops(lambda out, *_, **__: 5 * out.size)


@label_cross_entropy_input.kernel
def _(xp: Any, g: Any, x: Any, labels: Any, *, ignore_index: int, reduction: Reduction) -> Any:
    axis = class_axis(x)
    classes = x.shape[axis]
    out = xp.exp(_shifted(xp, x, axis))
    out /= xp.sum(out, axis=axis, keepdims=True)
    numbers = xp.reshape(xp.arange(classes, dtype=xp.int64), (-1, *[1] * (x.ndim - axis - 1)))
    out -= xp.astype(xp.expand_dims(labels, axis=axis) == numbers, x.dtype)
    counted = labels != ignore_index
    if reduction == "mean":
        g = g / xp.clip(_count(xp, counted, x.dtype), 1.0, None)
    chosen = (labels >= 0) & (labels < classes) & counted
    out *= xp.expand_dims(xp.where(chosen, g, xp.zeros_like(g)), axis=axis)
    return out


@label_cross_entropy_input.vjp
def _(
    c: Tensor,
    g: Tensor,
    x: Tensor,
    labels: Tensor,
    *,
    ignore_index: int,
    reduction: Reduction,
) -> Any:
    axis = class_axis(x)

    def in_g() -> Tensor:
        """What each loss gains along ``c``."""
        one = broadcast_to(g.constant(1), shape=g.shape)
        rate = label_cross_entropy_input(
            one, x, labels, ignore_index=ignore_index, reduction=reduction
        )
        return sum(c * rate, axis=axis if reduction == "none" else None)

    def in_x() -> Tensor:
        """The gradient of softmax, which is symmetric, at ``c`` times the share of each loss."""
        counted = labels != ignore_index
        share = g * cast((labels >= 0) & (labels < x.shape[axis]) & counted, dtype=x.dtype)
        if reduction == "mean":
            share = share / cast(sum(cast(counted, dtype="int64")), dtype=x.dtype)
        likely = softmax(x, axis=axis)
        weighted = c * likely * expand_dims(share, axis=axis)
        return weighted - likely * sum(weighted, axis=axis, keepdims=True)

    return in_g, in_x, None
