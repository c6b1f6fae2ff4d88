"""ResNets (He et al., 2016) with torchvision's names, so that weights move both ways."""

from __future__ import annotations

from collections.abc import Sequence

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_vision.models import sequence

STEMS = ("small", "imagenet")


def conv(filters: int, kernel: int, stride: int = 1) -> tg.Layer:
    """A convolution as ResNets have it: padded to keep the size, without bias, He-initialised."""
    layer: tg.Layer = tg.layers.conv2d(
        filters,
        kernel,
        stride=stride,
        padding=kernel // 2,
        bias=False,
        initializer=tg.initializers.he_normal(mode="fan_out"),
    )
    return layer


class BasicBlock(tg.Layer):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, width: int, stride: int, project: bool) -> None:
        self.conv1 = conv(width, 3, stride)
        self.bn1 = tg.layers.batch_norm2d()
        self.conv2 = conv(width, 3)
        self.bn2 = tg.layers.batch_norm2d()
        self.downsample = shortcut(width, stride) if project else None

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        relu = tg.activations.relu
        out = relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        short = x if self.downsample is None else self.downsample(x)
        total: tg.Tensor = relu(out + short)
        return total


class Bottleneck(tg.Layer):
    """A 3x3 convolution between two 1x1 convolutions, beside a shortcut; the 3x3 one strides."""

    expansion = 4

    def __init__(self, width: int, stride: int, project: bool) -> None:
        self.conv1 = conv(width, 1)
        self.bn1 = tg.layers.batch_norm2d()
        self.conv2 = conv(width, 3, stride)
        self.bn2 = tg.layers.batch_norm2d()
        self.conv3 = conv(4 * width, 1)
        self.bn3 = tg.layers.batch_norm2d()
        self.downsample = shortcut(4 * width, stride) if project else None

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        relu = tg.activations.relu
        out = relu(self.bn1(self.conv1(x)))
        out = relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        short = x if self.downsample is None else self.downsample(x)
        total: tg.Tensor = relu(out + short)
        return total


def shortcut(filters: int, stride: int) -> tg.Layer:
    return sequence(conv(filters, 1, stride), tg.layers.batch_norm2d())


class ResNet(tg.Layer):
    """A stem, four stages of residual blocks, the mean over the image, and the classes."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        classes: int,
        stem: str,
    ) -> None:
        if stem not in STEMS:
            raise ConfigError(f"stem is one of {', '.join(STEMS)}, not {stem!r}")
        self.conv1 = conv(64, 7, 2) if stem == "imagenet" else conv(64, 3)
        self.bn1 = tg.layers.batch_norm2d()
        self.maxpool = tg.layers.max_pool2d(3, 2, 1) if stem == "imagenet" else None
        channels, stages = 64, []
        for i, count in enumerate(blocks):
            width, members = 64 << i, []
            for j in range(count):
                stride = 2 if i and not j else 1
                project = stride > 1 or channels != width * block.expansion
                members.append(block(width, stride, project))
                channels = width * block.expansion
            stages.append(sequence(*members))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = tg.layers.adaptive_avg_pool2d(1)
        self.flatten = tg.layers.flatten()
        self.fc = tg.layers.linear(classes)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        x = tg.activations.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        logits: tg.Tensor = self.fc(self.flatten(self.avgpool(x)))
        return logits


def resnet18(classes: int = 10, *, stem: str = "small") -> tg.Layer:
    """ResNet-18; ``stem`` is "small" (3x3, no pooling: for images up to about 64x64) or
    "imagenet" (7x7 of stride 2, then pooling)."""
    return ResNet(BasicBlock, (2, 2, 2, 2), classes, stem)


def resnet50(classes: int = 10, *, stem: str = "small") -> tg.Layer:
    """ResNet-50, torchvision's variant: see ``resnet18`` for the stem."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes, stem)
