"""Layers and initializers; named, shaped and initialised as in PyTorch."""

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register
from tensorgraph_nn import initializers
from tensorgraph_nn.basic import Dropout, Embedding, Flatten, Linear
from tensorgraph_nn.containers import Residual, Sequential
from tensorgraph_nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose2d
from tensorgraph_nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm
from tensorgraph_nn.pool import (
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)

LAYERS = {
    "adaptive_avg_pool2d": AdaptiveAvgPool2d,
    "avg_pool1d": AvgPool1d,
    "avg_pool2d": AvgPool2d,
    "avg_pool3d": AvgPool3d,
    "batch_norm1d": BatchNorm1d,
    "batch_norm2d": BatchNorm2d,
    "batch_norm3d": BatchNorm3d,
    "conv1d": Conv1d,
    "conv2d": Conv2d,
    "conv3d": Conv3d,
    "conv_transpose2d": ConvTranspose2d,
    "dropout": Dropout,
    "embedding": Embedding,
    "flatten": Flatten,
    "group_norm": GroupNorm,
    "layer_norm": LayerNorm,
    "linear": Linear,
    "max_pool1d": MaxPool1d,
    "max_pool2d": MaxPool2d,
    "max_pool3d": MaxPool3d,
    "residual": Residual,
    "sequential": Sequential,
}
INITIALIZERS = (
    "constant",
    "he_normal",
    "he_uniform",
    "normal",
    "ones",
    "orthogonal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
)


@hookimpl
def register_layers(register: Register) -> None:
    for name, layer in LAYERS.items():
        register(name, layer)


@hookimpl
def register_initializers(register: Register) -> None:
    for name in INITIALIZERS:
        register(name, getattr(initializers, name))
