"""What is compared: networks described without any library, their weights and their data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

Arrays: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Conv:
    name: str
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True
    groups: int = 1


@dataclass(frozen=True)
class Linear:
    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Norm:
    """Batch normalisation."""

    name: str
    channels: int


@dataclass(frozen=True)
class Pool:
    """The largest element of each window."""

    kernel: int
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class Dropout:
    p: float


@dataclass(frozen=True)
class Relu:
    pass


@dataclass(frozen=True)
class Sigmoid:
    pass


@dataclass(frozen=True)
class Flatten:
    pass


@dataclass(frozen=True)
class Mean:
    """The mean over each image: (N, C, H, W) → (N, C)."""


@dataclass(frozen=True)
class Residual:
    """``relu(body(x) + shortcut(x))``; without a shortcut, ``relu(body(x) + x)``."""

    body: tuple[Stage, ...]
    shortcut: tuple[Stage, ...] = ()


Stage: TypeAlias = (
    Conv | Linear | Norm | Pool | Dropout | Relu | Sigmoid | Flatten | Mean | Residual
)
Network: TypeAlias = tuple[Stage, ...]


@dataclass(frozen=True)
class Workload:
    """A network, what it is trained on and how.

    ``shape`` is that of one input. ``loss`` is "cross_entropy", of logits and class numbers, or
    "mse", of outputs and targets of the same shape; ``optimizer`` is "adam" or "sgd".
    """

    name: str
    title: str
    shape: tuple[int, ...]
    batch: int
    network: Network
    outputs: int
    loss: str = "cross_entropy"
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.0


def mlp(*sizes: int) -> Iterator[Stage]:
    """Linear layers with ReLU between them, numbered as the stages of a sequence after Flatten."""
    yield Flatten()
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        if i:
            yield Relu()
        yield Linear(str(2 * i + 1), inputs, outputs)


TINY = (Linear("0", 2, 16), Sigmoid(), Linear("2", 16, 16), Sigmoid(), Linear("4", 16, 1))
LENET5 = (
    *(Conv("0", 1, 6, 5, padding=2), Relu(), Pool(2, 2)),
    *(Conv("3", 6, 16, 5), Relu(), Pool(2, 2), Flatten()),
    *(Linear("7", 400, 120), Relu(), Linear("9", 120, 84), Relu(), Linear("11", 84, 10)),
)
SIMPLE_CNN = (
    *(Conv("0", 1, 32, 3), Relu(), Pool(2, 2), Conv("3", 32, 64, 3), Relu(), Pool(2, 2)),
    *(Flatten(), Dropout(0.5), Linear("8", 1600, 10)),
)
VGG_SMALL = (
    *(Conv("0", 3, 32, 3, padding=1), Norm("1", 32), Relu()),
    *(Conv("3", 32, 32, 3, padding=1), Norm("4", 32), Relu(), Pool(2, 2)),
    *(Conv("7", 32, 64, 3, padding=1), Norm("8", 64), Relu()),
    *(Conv("10", 64, 64, 3, padding=1), Norm("11", 64), Relu(), Pool(2, 2)),
    *(Flatten(), Linear("15", 4096, 128), Relu(), Dropout(0.5), Linear("18", 128, 10)),
)


def normed(conv: str, norm: str, *sizes: int, stride: int = 1) -> tuple[Stage, ...]:
    """A convolution that keeps the size (but for its stride), without bias, and batch norm."""
    inputs, outputs, kernel = sizes
    padding = kernel // 2
    return (
        Conv(conv, inputs, outputs, kernel, stride, padding, bias=False),
        Norm(norm, outputs),
    )


def resnet18(classes: int, *, imagenet: bool) -> Iterator[Stage]:
    """ResNet-18 (He et al., 2016) with torchvision's names; the stem of 7x7, stride 2 and pooling
    for ImageNet's images, of 3x3 for small ones."""
    yield from normed("conv1", "bn1", 3, 64, 7 if imagenet else 3, stride=2 if imagenet else 1)
    yield Relu()
    if imagenet:
        yield Pool(3, 2, 1)
    channels = 64
    for i in range(4):
        width = 64 << i
        for j in range(2):
            at, stride = f"layer{i + 1}.{j}", 2 if i and not j else 1
            body = (
                *normed(f"{at}.conv1", f"{at}.bn1", channels, width, 3, stride=stride),
                Relu(),
                *normed(f"{at}.conv2", f"{at}.bn2", width, width, 3),
            )
            down = (f"{at}.downsample.0", f"{at}.downsample.1", channels, width, 1)
            same = stride == 1 and channels == width
            yield Residual(body, () if same else normed(*down, stride=stride))
            channels = width
    yield Mean()
    yield Linear("fc", 512, classes)


MNIST, SGD = (1, 28, 28), {"optimizer": "sgd", "momentum": 0.9, "lr": 0.01}
WORKLOADS = {
    w.name: w
    for w in (
        Workload("tiny", "tiny MLP 2-16-16-1", (2,), 100, TINY, 1, "mse", "sgd", 0.1),
        Workload("mlp", "MLP 784-512-256-10", MNIST, 128, tuple(mlp(784, 512, 256, 10)), 10),
        Workload("lenet5", "LeNet-5", MNIST, 64, LENET5, 10),
        Workload("simple_cnn", "simple_cnn", MNIST, 128, SIMPLE_CNN, 10),
        Workload("vgg_small", "VGG-small, batch norm", (3, 32, 32), 64, VGG_SMALL, 10),
        Workload(
            "resnet18", "ResNet-18, 32x32", (3, 32, 32), 32,
            tuple(resnet18(10, imagenet=False)), 10, **SGD,  # type: ignore[arg-type]
        ),
        Workload(
            "resnet18_224", "ResNet-18, 224x224", (3, 224, 224), 8,
            tuple(resnet18(1000, imagenet=True)), 1000, **SGD,  # type: ignore[arg-type]
        ),
    )
}  # fmt: skip


def layers(network: Network) -> Iterator[Conv | Linear | Norm]:
    """Every stage that has weights, in order."""
    for stage in network:
        if isinstance(stage, Residual):
            yield from layers((*stage.body, *stage.shortcut))
        elif isinstance(stage, Conv | Linear | Norm):
            yield stage


def weights(network: Network, seed: int = 0) -> dict[str, Any]:
    """Float32 weights by PyTorch's names: uniform within ±1/sqrt(fan-in), its default; the scales
    of batch norm are 1, the shifts 0."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for stage in layers(network):
        if isinstance(stage, Norm):
            found[f"{stage.name}.weight"] = np.ones(stage.channels, np.float32)
            found[f"{stage.name}.bias"] = np.zeros(stage.channels, np.float32)
            continue
        window = (stage.kernel, stage.kernel) if isinstance(stage, Conv) else ()
        inputs = stage.inputs // stage.groups if isinstance(stage, Conv) else stage.inputs
        bound = 1 / math.sqrt(inputs * math.prod(window))
        shape = (stage.outputs, inputs, *window)
        found[f"{stage.name}.weight"] = rng.uniform(-bound, bound, shape).astype(np.float32)
        if isinstance(stage, Linear) or stage.bias:
            drawn = rng.uniform(-bound, bound, stage.outputs)
            found[f"{stage.name}.bias"] = drawn.astype(np.float32)
    return found


def batches(workload: Workload, size: int, count: int, seed: int = 1) -> tuple[Any, Any]:
    """``count`` batches of random inputs (count, size, …) and of targets."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, size, *workload.shape), dtype=np.float32)
    if workload.loss == "mse":
        return x, rng.uniform(0, 1, (count, size, workload.outputs)).astype(np.float32)
    return x, rng.integers(0, workload.outputs, (count, size))


def save_problem(path: str, workload: Workload, size: int, count: int) -> None:
    """Write the weights and the batches, from which every library starts, to an .npz file."""
    x, y = batches(workload, size, count)
    named = {f"weights/{name}": value for name, value in weights(workload.network).items()}
    np.savez(path, x=x, y=y, **named)


def load_problem(path: str) -> tuple[Any, Any, dict[str, Any]]:
    """The inputs, the targets and the weights of such a file."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    named = {k.removeprefix("weights/"): v for k, v in arrays.items() if k.startswith("weights/")}
    return arrays["x"], arrays["y"], named
