"""Convolution layers over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

from tensorgraph import Spec, Tensor, ops
from tensorgraph.errors import ConfigError
from tensorgraph_nn import checks
from tensorgraph_nn.basic import Weighted
from tensorgraph_nn.initializers import Initializer

Size = int | tuple[int, ...]


def sizes(layer: str, kernel_size: Size, spatial: int) -> tuple[int, ...]:
    """A filter's size along each axis."""
    each = (kernel_size,) * spatial if isinstance(kernel_size, int) else tuple(kernel_size)
    if len(each) != spatial or any(not isinstance(k, int) or k < 1 for k in each):
        raise ConfigError(
            f"{layer}: kernel_size={kernel_size!r} is neither an integer from 1 on nor {spatial} "
            "such"
        )
    return each


class Conv(Weighted):
    """Filters slid over an input; ``weight`` is (out_channels, in/groups, *kernel_size)."""

    name: ClassVar[str]
    spatial: ClassVar[int]

    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Any = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
    ) -> None:
        checks.positive(self.name, out_channels=out_channels, groups=groups)
        if out_channels % groups:
            raise ConfigError(
                f"{self.name}: {out_channels} out_channels do not divide into {groups} groups"
            )
        super().__init__(bias, initializer, bias_initializer)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.window = sizes(self.name, kernel_size, self.spatial)
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def build(self, x: Spec) -> None:
        checks.axes(self.name, x, self.spatial + 2)
        dtype = checks.floating(self.name, x)
        if x.shape[1] % self.groups or not x.shape[1]:
            raise ConfigError(
                f"{self.name}: the {x.shape[1]} channels of {x} do not divide into {self.groups} "
                "groups; choose groups that divide the channels"
            )
        self.initialize(self.weight_shape(x.shape[1]), self.out_channels, dtype)

    def weight_shape(self, channels: int) -> tuple[int, ...]:
        return (self.out_channels, channels // self.groups, *self.window)

    def forward(self, x: Tensor) -> Tensor:
        checks.axes(self.name, x, self.spatial + 2)
        checks.unchanged(self.name, "channels", x, 1, self.weight.shape[1] * self.groups)
        return self.biased(
            ops.conv(
                x,
                self.weight,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
            )
        )

    def biased(self, out: Tensor) -> Tensor:
        if self.bias is None:
            return out
        return out + ops.reshape(self.bias, shape=(-1, *(1,) * self.spatial))


class Conv1d(Conv):
    """Filters slid along a sequence: (N, C, L) → (N, out_channels, L'); see ``Conv2d``."""

    name = "conv1d"
    spatial = 1


class Conv2d(Conv):
    """Filters slid over images: (N, C, H, W) → (N, out_channels, H', W').

    ``padding`` is a number, one for each axis, a pair (before, after) for each axis, "valid" or
    "same". ``weight`` is (out_channels, C/groups, kh, kw), ``bias`` (out_channels,).
    """

    name = "conv2d"
    spatial = 2


class Conv3d(Conv):
    """Filters slid over volumes: (N, C, D, H, W) → (N, out_channels, D', H', W')."""

    name = "conv3d"
    spatial = 3


class ConvTranspose2d(Conv):
    """The transpose of ``Conv2d``, which enlarges: (N, C, H, W) → (N, out_channels, H', W').

    ``weight`` is (C, out_channels/groups, kh, kw), as in PyTorch.
    """

    name = "conv_transpose2d"
    spatial = 2

    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        *,
        initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
    ) -> None:
        super().__init__(
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            initializer=initializer,
            bias_initializer=bias_initializer,
        )
        self.output_padding = output_padding

    def weight_shape(self, channels: int) -> tuple[int, ...]:
        return (channels, self.out_channels // self.groups, *self.window)

    def forward(self, x: Tensor) -> Tensor:
        checks.axes(self.name, x, self.spatial + 2)
        checks.unchanged(self.name, "channels", x, 1, self.weight.shape[0])
        return self.biased(
            ops.conv_transpose(
                x,
                self.weight,
                stride=self.stride,
                padding=self.padding,
                output_padding=self.output_padding,
                groups=self.groups,
                dilation=self.dilation,
            )
        )
