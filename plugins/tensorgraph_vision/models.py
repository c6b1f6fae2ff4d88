"""Reference models for small images: from one layer of neurons to a small VGG.

Each is a function of the number of classes that returns a layer, from images (N, C, H, W), or
volumes (N, C, D, H, W), to logits (N, classes). The channels and the size of the images are learnt
from the first input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorgraph as tg


def sequence(*stages: Any) -> tg.Layer:
    layer: tg.Layer = tg.layers.sequential(*stages)
    return layer


def neuron(classes: int = 10) -> tg.Layer:
    """A neuron a class, on the pixels themselves: multinomial logistic regression."""
    return sequence(tg.layers.flatten(), tg.layers.linear(classes))


def mlp(
    classes: int = 10,
    *,
    hidden: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float = 0.0,
) -> tg.Layer:
    """A multilayer perceptron: fully connected layers of the ``hidden`` sizes, then the classes."""
    stages = [tg.layers.flatten()]
    for size in hidden:
        stages += [tg.layers.linear(size), tg.activations[activation]]
        if dropout:
            stages.append(tg.layers.dropout(dropout))
    return sequence(*stages, tg.layers.linear(classes))


def lenet5(classes: int = 10, *, activation: str = "relu") -> tg.Layer:
    """LeNet-5 (LeCun et al., 1998) as it is taught today, with ReLU and max pooling: 61,706
    parameters on 28x28 grey images, and images of at least 12x12."""
    layers, act = tg.layers, tg.activations[activation]
    return sequence(
        layers.conv2d(6, 5, padding=2),
        act,
        layers.max_pool2d(2),
        layers.conv2d(16, 5),
        act,
        layers.max_pool2d(2),
        layers.flatten(),
        layers.linear(120),
        act,
        layers.linear(84),
        act,
        layers.linear(classes),
    )


def simple_cnn(classes: int = 10, *, dropout: float = 0.5) -> tg.Layer:
    """Keras's "simple MNIST convnet": 34,826 parameters on 28x28 grey images."""
    layers, relu = tg.layers, tg.activations.relu
    return sequence(
        layers.conv2d(32, 3),
        relu,
        layers.max_pool2d(2),
        layers.conv2d(64, 3),
        relu,
        layers.max_pool2d(2),
        layers.flatten(),
        layers.dropout(dropout),
        layers.linear(classes),
    )


def small_cnn(
    classes: int = 10, *, filters: Sequence[int] = (32, 64), dropout: float = 0.25
) -> tg.Layer:
    """Padded 3x3 convolutions, each with batch norm, ReLU and pooling, then the classes: fits
    images of 4x4 and more, such as the 8x8 digits."""
    layers = tg.layers
    kinds = layers.conv2d, layers.batch_norm2d, layers.max_pool2d
    return _small_cnn(*kinds, classes, filters, dropout)


def small_cnn3d(
    classes: int = 10, *, filters: Sequence[int] = (16, 32), dropout: float = 0.25
) -> tg.Layer:
    """``small_cnn`` of volumes (N, C, D, H, W): padded 3x3x3 convolutions, each with batch norm,
    ReLU and pooling, then the classes; of 4x4x4 and more."""
    layers = tg.layers
    kinds = layers.conv3d, layers.batch_norm3d, layers.max_pool3d
    return _small_cnn(*kinds, classes, filters, dropout)


def _small_cnn(
    conv: Any, norm: Any, pool: Any, classes: int, filters: Sequence[int], dropout: float
) -> tg.Layer:
    stages: list[Any] = []
    for count in filters:
        stages += [conv(count, 3, padding=1), norm(), tg.activations.relu, pool(2)]
    layers = tg.layers
    return sequence(*stages, layers.flatten(), layers.dropout(dropout), layers.linear(classes))


def vgg_small(classes: int = 10, *, dropout: float = 0.5) -> tg.Layer:
    """VGG's pattern (Simonyan and Zisserman, 2015) with batch norm, in small: pairs of 32 and of
    64 filters, each pair with pooling, then 128 units and the classes."""
    layers, relu = tg.layers, tg.activations.relu
    stages = []
    for filters in (32, 64):
        for _ in range(2):
            stages += [layers.conv2d(filters, 3, padding=1), layers.batch_norm2d(), relu]
        stages.append(layers.max_pool2d(2))
    return sequence(
        *stages,
        layers.flatten(),
        layers.linear(128),
        relu,
        layers.dropout(dropout),
        layers.linear(classes),
    )
