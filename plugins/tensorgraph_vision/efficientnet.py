"""EfficientNet-Lite0 (Tan and Le, 2019; the Lite variant of 2020), named as its PyTorch port is.

Against EfficientNet-B0 it has ReLU6 in the place of SiLU and no squeeze-and-excitation. Padding is
TensorFlow's "same". Stochastic depth, which the original trains with, is left out.
"""

from __future__ import annotations

import tensorgraph as tg
from tensorgraph_vision.models import sequence

# expansion, filters, how often, kernel, stride of the first
STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)


def conv(filters: int, kernel: int, stride: int = 1, groups: int = 1) -> tg.Layer:
    layer: tg.Layer = tg.layers.conv2d(
        filters,
        kernel,
        stride=stride,
        padding="same",
        groups=groups,
        bias=False,
        initializer=tg.initializers.he_normal(mode="fan_out"),
    )
    return layer


def norm() -> tg.Layer:
    layer: tg.Layer = tg.layers.batch_norm2d(momentum=0.01, eps=1e-3)
    return layer


def relu6(x: tg.Tensor) -> tg.Tensor:
    out: tg.Tensor = tg.ops.clip(x, min=0.0, max=6.0)
    return out


class InvertedBottleneck(tg.Layer):
    """1x1 to more channels, a filter for each, 1x1 to fewer; beside a shortcut where they fit."""

    def __init__(
        self, channels: int, filters: int, expansion: int, kernel: int, stride: int
    ) -> None:
        wide = channels * expansion
        self.shortcut = stride == 1 and channels == filters
        self._expand_conv = conv(wide, 1) if expansion > 1 else None
        self._bn0 = norm() if expansion > 1 else None
        self._depthwise_conv = conv(wide, kernel, stride, groups=wide)
        self._bn1 = norm()
        self._project_conv = conv(filters, 1)
        self._bn2 = norm()

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        out = x
        if self._expand_conv is not None and self._bn0 is not None:
            out = relu6(self._bn0(self._expand_conv(out)))
        out = relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return out + x if self.shortcut else out


class EfficientNet(tg.Layer):
    """A stem, inverted bottlenecks, 1280 features, their means over the image, and the classes."""

    def __init__(self, classes: int, dropout: float) -> None:
        self._conv_stem = conv(32, 3, 2)
        self._bn0 = norm()
        self._blocks, channels = [], 32
        for expansion, filters, count, kernel, stride in STAGES:
            for i in range(count):
                step = 1 if i else stride
                block = InvertedBottleneck(channels, filters, expansion, kernel, step)
                self._blocks.append(block)
                channels = filters
        self._conv_head = conv(1280, 1)
        self._bn1 = norm()
        self._pool = sequence(tg.layers.adaptive_avg_pool2d(1), tg.layers.flatten())
        self._dropout = tg.layers.dropout(dropout)
        self._fc = tg.layers.linear(classes)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        x = relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = self._pool(relu6(self._bn1(self._conv_head(x))))
        logits: tg.Tensor = self._fc(self._dropout(x))
        return logits


def efficientnet_lite0(classes: int = 10, *, dropout: float = 0.2) -> tg.Layer:
    """EfficientNet-Lite0: 4.65 million parameters with 1,000 classes, of colour images; made for
    224x224, of 32x32 and more."""
    return EfficientNet(classes, dropout)
