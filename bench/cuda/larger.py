"""Ops in shapes that fill many blocks of threads, with ends that fill none: by name what is called,
what draws its inputs, and whether it is a product, whose factors a precision rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorgraph as tg

SMALLEST, BATCH = 9, 8
Shape = tuple[int, ...]


class Larger(NamedTuple):
    call: Callable[..., Any]
    inputs: Callable[[Any, bool], list[Any]]  # of NumPy's random generator, and whether small
    product: bool = False

    def loss(self, out: Any) -> Any:
        """Whose gradients are none of those that cancel out."""
        return (out * out).mean() if self.product else tg.ops.exp(out * 0.25).mean()


def convolution(channels: int, side: int, filters: Shape, **options: Any) -> Larger:
    def inputs(random: Any, small: bool) -> list[Any]:
        x = pixels(channels, side, random, small)
        return [x, random.standard_normal(filters)]

    return Larger(lambda x, w: tg.ops.conv(x, w, **options), inputs, True)


def product(*shapes: Shape) -> Larger:
    def inputs(random: Any, small: bool) -> list[Any]:
        sizes = [[min(n, SMALLEST) if small else n for n in shape] for shape in shapes]
        return [random.standard_normal(size) for size in sizes]

    return Larger(tg.ops.matmul, inputs, True)


def of_images(call: Callable[..., Any], channels: int, side: int, *more: Shape) -> Larger:
    def inputs(random: Any, small: bool) -> list[Any]:
        x = pixels(channels, side, random, small)
        return [x, *map(random.standard_normal, more)]

    return Larger(call, inputs)


def of_rows(call: Callable[..., Any], rows: int, columns: int, *more: Shape) -> Larger:
    def inputs(random: Any, small: bool) -> list[Any]:
        x = random.standard_normal((SMALLEST if small else rows, columns))
        return [x, *map(random.standard_normal, more)]

    return Larger(call, inputs)


def of_labels(rows: int, classes: int) -> Larger:
    def inputs(random: Any, small: bool) -> list[Any]:
        count = SMALLEST if small else rows
        return [random.standard_normal((count, classes)), random.integers(0, classes, count)]

    return Larger(lambda x, y: tg.ops.cross_entropy(x, y), inputs)


def pixels(channels: int, side: int, random: Any, small: bool) -> Any:
    batch, side = (1, min(side, SMALLEST)) if small else (BATCH, side)
    return random.standard_normal((batch, channels, side, side))


def normed(x: Any, weight: Any, bias: Any) -> Any:
    return tg.ops.batch_norm(x, None, None, weight, bias, training=True)[0]


def chained(x: Any, scale: Any, shift: Any) -> Any:
    y = tg.ops.relu(x * scale + shift)
    return tg.ops.sigmoid(y - x) * 2.0 + tg.ops.tanh(x)


LARGER = {
    "3x3 filters": convolution(64, 28, (64, 64, 3, 3), padding=1),
    "3x3 filters, stride 2": convolution(64, 29, (96, 64, 3, 3), padding=1, stride=2),
    "1x1 filters": convolution(64, 28, (128, 64, 1, 1)),
    "1x1 filters, stride 2": convolution(64, 28, (128, 64, 1, 1), stride=2),
    "7x7 filters on colours": convolution(3, 64, (64, 3, 7, 7), padding=3, stride=2),
    "3x3 filters, odd channels": convolution(17, 19, (13, 17, 3, 3), padding=1),
    "depthwise filters": convolution(32, 28, (32, 1, 3, 3), padding=1, groups=32),
    "5x5 filters on grey": convolution(1, 28, (6, 1, 5, 5), padding=2),
    "product": product((512, 1024), (1024, 768)),
    "product, odd sizes": product((129, 257), (257, 65)),
    "products of a batch": product((16, 65, 129), (16, 129, 33)),
    "max pool 2": of_images(lambda x: tg.ops.max_pool(x, kernel_size=2), 64, 56),
    "max pool 3, stride 2": of_images(
        lambda x: tg.ops.max_pool(x, kernel_size=3, stride=2, padding=1), 63, 57
    ),
    "average pool 2": of_images(lambda x: tg.ops.avg_pool(x, kernel_size=2), 64, 57),
    "mean of images": of_images(lambda x: tg.ops.mean(x, axis=(2, 3)), 96, 29),
    "batch norm": of_images(normed, 64, 28, (64,), (64,)),
    "batch norm, odd channels": of_images(normed, 17, 29, (17,), (17,)),
    "group norm": of_images(
        lambda x, w, b: tg.ops.group_norm(x, w, b, num_groups=8), 64, 28, (64,), (64,)
    ),
    "layer norm": of_rows(
        lambda x, w, b: tg.ops.layer_norm(x, w, b, normalized_shape=769), 512, 769, (769,), (769,)
    ),
    "softmax": of_rows(lambda x: tg.ops.softmax(x, axis=1) * 100.0, 1024, 1000),
    "log softmax": of_rows(lambda x: tg.ops.log_softmax(x, axis=1), 4096, 10),
    "cross entropy, 1000 classes": of_labels(1024, 1000),
    "cross entropy, 10 classes": of_labels(4097, 10),
    "sums of rows": of_rows(lambda x: tg.ops.sum(x, axis=1) * 0.01, 1025, 3001),
    "sums of columns": of_rows(lambda x: tg.ops.sum(x, axis=0) * 0.01, 3001, 1025),
    "a sum of all": of_rows(lambda x: tg.ops.sum(x) * 1e-4, 1025, 1031),
    "a chain": of_images(chained, 64, 28, (64, 1, 1), (64, 1, 1)),
    "variance": of_images(lambda x: tg.ops.var(x, axis=(0, 2, 3)), 64, 28),
}
