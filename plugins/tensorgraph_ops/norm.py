"""Normalisation to mean 0 and variance 1, over the batch, over features, over groups of channels.

The variance is that of the deviations from the mean (two passes), so nothing cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorgraph.errors import ShapeError
from tensorgraph.ops.shape import reshape
from tensorgraph_ops.elementwise import rsqrt
from tensorgraph_ops.standardize import axis_mean, axis_variance, standardize

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]


def _affine(
    name: str, x: Tensor, axes: range, weight: Tensor | None, bias: Tensor | None, *sizes: int
) -> tuple[Tensor | float, Tensor | float]:
    """Scale and shift along these axes of ``x``, ready to broadcast; in the shape ``sizes``, where
    ``x`` is normalised in another."""
    shape = tuple(x.shape[a] for a in axes)
    given: list[Tensor | float] = []
    for what, t, none in (("weight", weight, 1.0), ("bias", bias, 0.0)):
        if t is not None and t.shape != shape:
            raise ShapeError(f"{name}: {what} {t.spec} does not fit x {x.spec}: it needs {shape}")
        given.append(none if t is None else reshape(t, shape=sizes) if sizes else t)
    return given[0], given[1]


def _normalized(
    x: Tensor, axes: Ints, affine: tuple[Tensor | float, Tensor | float], eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``x`` standardised over these axes, scaled and shifted; its mean and its variance there."""
    average = axis_mean(x, axis=axes)
    variance = axis_variance(x, average)
    return standardize(x, average, rsqrt(variance + eps), *affine), average, variance


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
    wide = (1, x.shape[1], *[1] * (x.ndim - 2))
    if not training and running_mean is not None and running_var is not None:
        scale, shift = _affine("batch_norm", x, range(1, 2), weight, bias)
        scale = rsqrt(running_var + eps) * scale  # of each channel: two passes over x are left
        shift = shift - running_mean * scale
        out = x * reshape(scale, shape=wide) + reshape(shift, shape=wide)
        return out, running_mean, running_var
    n = x.size // max(1, x.shape[1])
    if n < 2:
        raise ShapeError(
            f"batch_norm: x {x.spec} has {n} value for each channel, and a variance needs two; use "
            "a larger batch, or the running statistics (training=False)"
        )
    affine = _affine("batch_norm", x, range(1, 2), weight, bias, *wide)
    out, average, variance = _normalized(x, (0, *range(2, x.ndim)), affine, eps)
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
    axes = range(first, x.ndim)
    affine = _affine("layer_norm", x, axes, weight, bias)
    return _normalized(x, tuple(axes), affine, eps)[0]


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
    sizes = (num_groups, x.shape[1] // num_groups, *x.shape[2:])
    grouped = reshape(x, shape=(x.shape[0], *sizes))
    affine = _affine("group_norm", x, range(1, 2), weight, bias, *sizes[:2], *[1] * (x.ndim - 2))
    out, _, _ = _normalized(grouped, tuple(range(2, grouped.ndim)), affine, eps)
    return reshape(out, shape=x.shape)
