"""Pooling layers over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

from tensorgraph import Layer, Tensor, ops
from tensorgraph_nn import checks
from tensorgraph_nn.conv import Size, sizes


class Pool(Layer):
    """What the pooling layers have in common; the stride is by default the size of the window."""

    name: ClassVar[str]
    spatial: ClassVar[int]

    def __init__(self, kernel_size: Size, stride: Size | None, padding: Size, **more: Any) -> None:
        sizes(self.name, kernel_size, self.spatial)
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        vars(self).update(more)
        self.windows = {"kernel_size": kernel_size, "stride": stride, "padding": padding, **more}


class MaxPool(Pool):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation=dilation, ceil_mode=ceil_mode)

    def forward(self, x: Tensor) -> Tensor:
        checks.axes(self.name, x, self.spatial + 2)
        return ops.max_pool(x, **self.windows)


class AvgPool(Pool):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        include = count_include_pad
        super().__init__(
            kernel_size, stride, padding, ceil_mode=ceil_mode, count_include_pad=include
        )

    def forward(self, x: Tensor) -> Tensor:
        checks.axes(self.name, x, self.spatial + 2)
        return ops.avg_pool(x, **self.windows)


class MaxPool1d(MaxPool):
    """The largest element of each window: (N, C, L) → (N, C, L')."""

    name = "max_pool1d"
    spatial = 1


class MaxPool2d(MaxPool):
    """The largest element of each window: (N, C, H, W) → (N, C, H', W')."""

    name = "max_pool2d"
    spatial = 2


class MaxPool3d(MaxPool):
    """The largest element of each window: (N, C, D, H, W) → (N, C, D', H', W')."""

    name = "max_pool3d"
    spatial = 3


class AvgPool1d(AvgPool):
    """The average of each window: (N, C, L) → (N, C, L')."""

    name = "avg_pool1d"
    spatial = 1


class AvgPool2d(AvgPool):
    """The average of each window: (N, C, H, W) → (N, C, H', W')."""

    name = "avg_pool2d"
    spatial = 2


class AvgPool3d(AvgPool):
    """The average of each window: (N, C, D, H, W) → (N, C, D', H', W')."""

    name = "avg_pool3d"
    spatial = 3


class AdaptiveAvgPool2d(Layer):
    """Averages of windows so chosen that the output is (N, C, *output_size)."""

    def __init__(self, output_size: int | tuple[int | None, ...]) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        checks.axes("adaptive_avg_pool2d", x, 4)
        return ops.adaptive_avg_pool(x, output_size=self.output_size)
