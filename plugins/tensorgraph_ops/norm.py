"""Normalisation to mean 0 and variance 1, over the batch, over features, over groups of channels.

The variance is that of the deviations from the mean (two passes), so nothing cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorgraph.errors import ShapeError
from tensorgraph.ops.shape import reshape
from tensorgraph_ops.elementwise import rsqrt
from tensorgraph_ops.reduction import mean

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]


def _moments(x: Tensor, axes: Ints) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, the deviations from it, and their mean square, with the axes kept."""
    average = mean(x, axis=axes, keepdims=True)
    deviation = x - average
    return average, deviation, mean(deviation * deviation, axis=axes, keepdims=True)


def _affine(
    name: str, x: Tensor, axes: range, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Scale and shift along these axes of ``x``."""
    shape = tuple(x.shape[a] for a in axes)
    for what, t in (("weight", weight), ("bias", bias)):
        if t is None:
            continue
        if t.shape != shape:
            raise ShapeError(f"{name}: {what} {t.spec} does not fit x {x.spec}: it needs {shape}")
        t = reshape(t, shape=(*shape, *[1] * (x.ndim - axes.stop)))
        x = x * t if what == "weight" else x + t
    return x


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Each channel of (N,C,…) normalised; returns the output, and what the two running statistics
    become, to be assigned by the caller: nothing is written.

    In training, or without running statistics, by the batch's own mean and variance, and the
    running ones move by the share ``momentum`` to the batch's mean and unbiased variance (without
    running ones, these are returned); else by the running ones. As PyTorch's batch_norm.
    """
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: takes x (N, C, …), not {x.spec}")
    if not training and running_mean is not None and running_var is not None:
        shape = (x.shape[1], *[1] * (x.ndim - 2))
        deviation = x - reshape(running_mean, shape=shape)
        scale = rsqrt(reshape(running_var, shape=shape) + eps)
        out = _affine("batch_norm", deviation * scale, range(1, 2), weight, bias)
        return out, running_mean, running_var
    n = x.size // max(1, x.shape[1])
    if n < 2:
        raise ShapeError(
            f"batch_norm: x {x.spec} has {n} value for each channel, and a variance needs two; use "
            "a larger batch, or the running statistics (training=False)"
        )
    average, deviation, variance = _moments(x, (0, *range(2, x.ndim)))
    out = _affine("batch_norm", deviation * rsqrt(variance + eps), range(1, 2), weight, bias)
    new_mean = reshape(average.detach(), shape=(-1,))
    new_var = reshape(variance.detach(), shape=(-1,)) * (n / (n - 1))
    if running_mean is not None:
        new_mean = running_mean.detach() * (1 - momentum) + new_mean * momentum
    if running_var is not None:
        new_var = running_var.detach() * (1 - momentum) + new_var * momentum
    return out, new_mean, new_var


def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    normalized_shape: int | Ints,
    eps: float = 1e-5,
) -> Tensor:
    """The last axes, which have ``normalized_shape``, normalised together, scaled, shifted."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    first = x.ndim - len(shape)
    if not shape or x.shape[max(first, 0) :] != shape:
        raise ShapeError(f"layer_norm: x {x.spec} does not end in {list(shape)}")
    _, deviation, variance = _moments(x, tuple(range(first, x.ndim)))
    normal = deviation * rsqrt(variance + eps)
    return _affine("layer_norm", normal, range(first, x.ndim), weight, bias)


def group_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    num_groups: int,
    eps: float = 1e-5,
) -> Tensor:
    """Groups of neighbouring channels of (N,C,…), normalised for each sample on its own."""
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: the channels of x {x.spec} do not divide into {num_groups} groups"
        )
    grouped = reshape(x, shape=(x.shape[0], num_groups, x.size // max(1, x.shape[0] * num_groups)))
    _, deviation, variance = _moments(grouped, (2,))
    out = reshape(deviation * rsqrt(variance + eps), shape=x.shape)
    return _affine("group_norm", out, range(1, 2), weight, bias)
