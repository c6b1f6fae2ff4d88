"""Losses: PyTorch's names, parameters and defaults. ``reduction`` is "mean", "sum" or "none"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import DtypeError, ShapeError
from tensorgraph.ops.elementwise import abs, cast, equal, floating, where  # noqa: A004  the ops
from tensorgraph.ops.reduction import sum  # noqa: A004
from tensorgraph.ops.shape import reshape
from tensorgraph.spec import is_floating, kind
from tensorgraph_ops.activation import log_softmax, softplus
from tensorgraph_ops.axes import expand_dims
from tensorgraph_ops.elementwise import square
from tensorgraph_ops.label_loss import (
    Reduction,
    class_axis,
    known_reduction,
    label_cross_entropy,
    labels_shape,
)
from tensorgraph_ops.reduction import any, mean  # noqa: A004

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor


def _reduce(name: str, loss: Tensor, reduction: Reduction, count: Tensor | None = None) -> Tensor:
    """The loss of each sample, or the sum or mean of all; ``count`` is what the mean divides by."""
    known_reduction(name, reduction)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    return mean(loss) if count is None else sum(loss) / sum(count)


def _tensors(name: str, *xs: Any) -> None:
    for x in xs:
        if not hasattr(x, "spec"):
            raise TypeError(f"{name}: takes tensors, not {type(x).__name__}; wrap it: tg.tensor(…)")


def _same_shape(name: str, x: Tensor, target: Tensor) -> None:
    _tensors(name, x, target)
    floating(name, x, target)
    if x.shape != target.shape:
        raise ShapeError(
            f"{name}: predictions {x.spec} and targets {target.spec} differ in shape; reshape one: "
            f"tg.ops.reshape(target, shape={x.shape})"
        )


def mse_loss(x: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """The squared difference."""
    _same_shape("mse_loss", x, target)
    return _reduce("mse_loss", square(x - target), reduction)


def l1_loss(x: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """The absolute difference; its gradient at 0 is 0."""
    _same_shape("l1_loss", x, target)
    return _reduce("l1_loss", abs(x - target), reduction)


def huber_loss(
    x: Tensor, target: Tensor, *, delta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """Half the squared difference up to ``delta``, and linear with slope ``delta`` beyond."""
    _same_shape("huber_loss", x, target)
    difference = x - target
    size = abs(difference)
    linear = (size - 0.5 * delta) * delta
    return _reduce(
        "huber_loss", where(size <= delta, difference * difference * 0.5, linear), reduction
    )


def binary_cross_entropy_with_logits(
    x: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """The cross-entropy of ``sigmoid(x)`` and targets from 0 to 1, of the same shape.

    ``weight`` scales each element, ``pos_weight`` the part of the positive targets; both broadcast.
    """
    _same_shape("binary_cross_entropy_with_logits", x, target)
    # -log(sigmoid(x)); from 40 on softplus(x) is x to the last bit of float64
    negative_log = softplus(-x, threshold=40.0)
    if pos_weight is not None:
        negative_log = negative_log * (target * (pos_weight - 1.0) + 1.0)
    loss = (1.0 - target) * x + negative_log
    return _reduce(
        "binary_cross_entropy_with_logits", loss if weight is None else loss * weight, reduction
    )


def _class_axis(name: str, x: Tensor, target: Tensor, weight: Tensor | None) -> int:
    """The axis of the classes; raises where ``x`` has none or ``weight`` does not fit it."""
    _tensors(name, x, target, *([] if weight is None else [weight]))
    axis = class_axis(x)
    if axis < 0 or x.shape[axis] == 0:
        raise ShapeError(f"{name}: the scores {x.spec} have no classes; give (C,) or (N, C, …)")
    if weight is not None and weight.shape != x.shape[axis : axis + 1]:
        raise ShapeError(
            f"{name}: weight {weight.spec} is not one number for each of the {x.shape[axis]} "
            f"classes of {x.spec}"
        )
    return axis


def _along(x: Tensor, axis: int, ndim: int) -> Tensor:
    """A vector, laid along one axis of ``ndim``."""
    return reshape(x, shape=tuple(x.size if i == axis else 1 for i in range(ndim)))


def _integers(name: str, x: Tensor, target: Tensor) -> Tensor:
    """Class labels as int64, after checks of their dtype and shape."""
    expected = labels_shape(x)
    if kind(target.dtype) != 1:
        raise DtypeError(
            f"{name}: class labels are integers, not {target.spec}; cast them: "
            "tg.ops.cast(target, dtype='int64')"
            + f"; probabilities have the shape of the scores, {x.spec}"
            * (name != "nll_loss")
        )
    if target.shape != expected:
        raise ShapeError(
            f"{name}: scores {x.spec} need labels of shape {list(expected)}, not {target.spec}; "
            f"reshape them: tg.ops.reshape(target, shape={expected})"
        )
    return target if target.dtype == "int64" else cast(target, dtype="int64")


def _nll(
    x: Tensor, labels: Tensor, axis: int, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """The loss of each label, and what it counts in a mean."""
    classes = _along(x.constant(range(x.shape[axis]), "int64"), axis, x.ndim)
    hit = equal(expand_dims(labels, axis=axis), classes)
    kept = labels != ignore_index
    if 0 <= ignore_index < x.shape[axis]:
        hit = hit & expand_dims(kept, axis=axis)
    if weight is None:
        scaled, count = x, cast(kept, dtype=x.dtype)
    else:
        weight = _along(weight, axis, x.ndim)
        scaled, count = x * weight, sum(where(hit, weight, 0.0), axis=axis)
    loss = -sum(where(hit, scaled, 0.0), axis=axis)
    # a label that is no class must not pass for a loss of 0
    return where(any(hit, axis=axis) | ~kept, loss, math.nan), count


def nll_loss(
    x: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Minus the log-probability of each label: x (C,) or (N, C, …), target () or (N, …).

    ``weight`` (C,) scales the classes and the mean divides by the weights of the labels; a label
    ``ignore_index`` does not count. Any other label outside 0 … C-1 makes the loss NaN.
    """
    axis = _class_axis("nll_loss", x, target, weight)
    labels = _integers("nll_loss", x, target)
    loss, count = _nll(x, labels, axis, weight, ignore_index)
    return _reduce("nll_loss", loss, reduction, count)


def cross_entropy(
    x: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """The cross-entropy of ``softmax(x)``, x (C,) or (N, C, …), and integer labels, () or (N, …),
    or probabilities of the shape of ``x``.

    ``label_smoothing`` spreads that part of each target over all classes. The rest is that of
    ``nll_loss``; the mean over probabilities divides by the number of samples.
    """
    axis = _class_axis("cross_entropy", x, target, weight)
    if not 0 <= label_smoothing <= 1:
        raise ShapeError(f"cross_entropy: label_smoothing {label_smoothing} is not within 0 … 1")
    floating("cross_entropy", x)
    known_reduction("cross_entropy", reduction)
    probabilities = is_floating(target.dtype) and target.shape == x.shape
    labels = None if probabilities else _integers("cross_entropy", x, target)
    if labels is not None and weight is None and not label_smoothing:
        return label_cross_entropy(x, labels, ignore_index=ignore_index, reduction=reduction)
    logs = log_softmax(x, axis=axis)
    scaled = logs if weight is None else logs * _along(weight, axis, x.ndim)
    share = label_smoothing / x.shape[axis]
    if labels is None:
        target = target * (1 - label_smoothing) + share if label_smoothing else target
        return _reduce("cross_entropy", -sum(target * scaled, axis=axis), reduction)
    loss, count = _nll(logs, labels, axis, weight, ignore_index)
    if label_smoothing:
        smooth = where(labels == ignore_index, 0.0, sum(scaled, axis=axis))
        loss = loss * (1 - label_smoothing) - smooth * share
    return _reduce("cross_entropy", loss, reduction, count)
