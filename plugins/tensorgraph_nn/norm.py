"""Normalisation layers: over the batch, over features, over groups of channels."""

from __future__ import annotations

from typing import Any, ClassVar

from tensorgraph import Buffer, Layer, Parameter, Spec, Tensor, ops
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import ConfigError, ShapeError
from tensorgraph_nn import checks, initializers


class Norm(Layer):
    """A normalisation with a scale and a shift of its own, ``weight`` and ``bias``."""

    def __init__(self, eps: float, affine: bool) -> None:
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(initializers.ones()) if affine else None
        self.bias = Parameter(initializers.zeros()) if affine else None

    def initialize(self, shape: tuple[int, ...], dtype: str) -> None:
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                parameter.initialize(shape, dtype)


class BatchNorm(Norm):
    """Each channel with the mean and variance of the batch, and in evaluation with running ones.

    In training ``running_mean`` and ``running_var`` move by the share ``momentum`` towards the
    batch's mean and unbiased variance; with ``momentum=None`` they are the averages of all batches.
    """

    name: ClassVar[str]
    ndims: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        momentum: float | None = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__(eps, affine)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ConfigError(f"{self.name}: momentum={momentum} is not a share from 0 to 1")
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        self.running_mean = Buffer(initializers.zeros()) if track_running_stats else None
        self.running_var = Buffer(initializers.ones()) if track_running_stats else None
        self.num_batches_tracked = Buffer(initializers.zeros()) if track_running_stats else None

    def build(self, x: Spec) -> None:
        checks.axes(self.name, x, *self.ndims)
        dtype = checks.floating(self.name, x)
        self.channels = x.shape[1]
        self.initialize((self.channels,), dtype)
        for statistic in (self.running_mean, self.running_var):
            if statistic is not None:
                statistic.initialize((self.channels,), dtype)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.initialize((), "int64")

    def forward(self, x: Tensor) -> Tensor:
        checks.axes(self.name, x, *self.ndims)
        checks.unchanged(self.name, "channels", x, 1, self.channels)
        mean, var, batches = self.running_mean, self.running_var, self.num_batches_tracked
        affine = (self.weight, self.bias)
        training = self.training and x.backend is not ABSTRACT  # a spec may be of a batch of one
        if mean is None or var is None or batches is None or not training:
            return ops.batch_norm(x, mean, var, *affine, training=training, eps=self.eps)[0]
        out, now, now_var = ops.batch_norm(x, None, None, *affine, training=True, eps=self.eps)
        batches.assign(batches + 1)
        share: Any = self.momentum
        if share is None:
            share = 1.0 / ops.cast(batches, dtype=x.dtype)
        mean.assign(mean * (1.0 - share) + now * share)
        var.assign(var * (1.0 - share) + now_var * share)
        return out


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); see ``BatchNorm``."""

    name = "batch_norm1d"
    ndims = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch normalisation of images, (N, C, H, W); see ``BatchNorm``."""

    name = "batch_norm2d"
    ndims = (4,)


class BatchNorm3d(BatchNorm):
    """Batch normalisation of volumes, (N, C, D, H, W); see ``BatchNorm``."""

    name = "batch_norm3d"
    ndims = (5,)


class LayerNorm(Norm):
    """The last ``dims`` axes of each sample with their own mean and variance; ``weight`` and
    ``bias`` have the sizes of these axes."""

    def __init__(self, dims: int = 1, eps: float = 1e-5, affine: bool = True) -> None:
        checks.positive("layer_norm", dims=dims)
        super().__init__(eps, affine)
        self.dims = dims

    def build(self, x: Spec) -> None:
        if x.ndim < self.dims:
            raise ShapeError(
                f"layer_norm: {x} has fewer than dims={self.dims} axes; give dims={x.ndim}, or a "
                "larger input"
            )
        self.normalized_shape = x.shape[-self.dims :]
        self.initialize(self.normalized_shape, checks.floating("layer_norm", x))

    def forward(self, x: Tensor) -> Tensor:
        for axis, size in zip(range(-self.dims, 0), self.normalized_shape, strict=True):
            checks.unchanged("layer_norm", f"elements along axis {axis}", x, axis, size)
        shape = self.normalized_shape
        return ops.layer_norm(x, self.weight, self.bias, normalized_shape=shape, eps=self.eps)


class GroupNorm(Norm):
    """``num_groups`` groups of neighbouring channels of (N, C, …), each sample's groups with their
    own mean and variance."""

    def __init__(self, num_groups: int, eps: float = 1e-5, affine: bool = True) -> None:
        checks.positive("group_norm", num_groups=num_groups)
        super().__init__(eps, affine)
        self.num_groups = num_groups

    def build(self, x: Spec) -> None:
        if x.ndim < 2 or x.shape[1] % self.num_groups:
            raise ShapeError(
                f"group_norm: the channels of {x} do not divide into {self.num_groups} groups; "
                "choose num_groups that divides the size of axis 1"
            )
        self.channels = x.shape[1]
        self.initialize((self.channels,), checks.floating("group_norm", x))

    def forward(self, x: Tensor) -> Tensor:
        checks.unchanged("group_norm", "channels", x, 1, self.channels)
        groups = self.num_groups
        return ops.group_norm(x, self.weight, self.bias, num_groups=groups, eps=self.eps)
