"""What each op is timed on: inputs of the sizes that training meets, and the call.

An input is the shape of floats between 0.1 and 0.9, ``ints(shape, below)`` or ``bools(shape)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tensorgraph as tg
from tensorgraph import Op, Spec
from tensorgraph.backend import ABSTRACT


class Sample(NamedTuple):
    """One thing to time: ``call`` takes a tensor for each of ``inputs``.

    gradient  whether the call runs backward as well, with kernels as they are chosen
    """

    op: str
    label: str
    inputs: tuple[Any, ...]
    call: Callable[..., Any]
    gradient: bool = False

    def __str__(self) -> str:
        name = f"gradient of {self.op}" if self.gradient else self.op
        return f"{name}-{self.label}" if self.label else name

    def specs(self) -> list[Spec]:
        """The inputs' shapes and dtypes; only what is given by a function is made for that."""
        rng = np.random.default_rng(0)
        made = [x(rng) if callable(x) else None for x in self.inputs]
        return [
            Spec(tuple(shape)) if x is None else Spec(tuple(x.shape), str(x.dtype))
            for x, shape in zip(made, self.inputs)
        ]

    def arrays(self) -> list[Any]:
        """The inputs, as NumPy arrays."""
        rng = np.random.default_rng(0)
        return [
            x(rng) if callable(x) else rng.uniform(0.1, 0.9, x).astype("f4") for x in self.inputs
        ]


def op_sample(op: str, label: str, inputs: tuple[Any, ...], **parameters: Any) -> Sample:
    """A sample that calls ``ops.<op>(*tensors, **parameters)``."""
    return Sample(op, label, inputs, lambda *xs: getattr(tg.ops, op)(*xs, **parameters))


def gradient_of(sample: Sample) -> Sample:
    """Forward and backward."""

    def call(*xs: Any) -> Any:
        leaves = [x.detach() for x in xs]
        for x in leaves:
            x.requires_grad = x.dtype.startswith("float")
        out = sample.call(*leaves)
        out = out[0] if isinstance(out, tuple) else out
        return tg.grad(tg.ops.sum(out), [x for x in leaves if x.requires_grad])

    return sample._replace(call=call, gradient=True)


def convolutions(
    label: str, x: tuple[int, ...], w: tuple[int, ...], **given: Any
) -> tuple[Sample, Sample, Sample]:
    """A convolution, and its gradients in the input and in the filters."""
    out = tg.ops.conv(*[tg.Tensor(None, ABSTRACT, Spec(s)) for s in (x, w)], **given)
    every = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **given}
    return (
        op_sample("conv", label, (x, w), **given),
        op_sample("conv_input", label, (out.shape, w), size=x[2:], **every),
        op_sample("conv_weight", label, (x, out.shape), size=w[2:], **every),
    )


def ints(shape: tuple[int, ...], below: int, dtype: str = "int64") -> Any:
    return lambda rng: rng.integers(0, below, shape).astype(dtype)


def bools(shape: tuple[int, ...]) -> Any:
    return lambda rng: rng.integers(0, 2, shape).astype(bool)


SAMPLES: list[Sample] = []
BIG, ROWS, IMAGES = (256, 4096), (256, 1000), (64, 32, 28, 28)
GRADIENTS = ("batch_norm", "conv", "cross_entropy", "gelu", "layer_norm", "matmul", "max_pool")


def sample(op: str, *inputs: Any, label: str = "", call: Any = None, **parameters: Any) -> None:
    made = op_sample(op, label, inputs, **parameters)
    SAMPLES.append(made if call is None else made._replace(call=call))


UNARY = """
    abs acos asin atan ceil cos cosh elu erf exp expm1 floor gelu hardtanh isfinite leaky_relu log
    log1p negative reciprocal relu round rsqrt sigmoid sign silu sin sinh softplus sqrt square tan
    tanh
"""
BINARY = """
    add divide equal greater greater_equal less less_equal maximum minimum multiply not_equal pow
    subtract
"""
REDUCTIONS = "argmax argmin logsumexp max mean min norm prod std sum var"

for name in UNARY.split():
    sample(name, BIG)
for name in BINARY.split():
    sample(name, BIG, BIG)
for name in ("add", "multiply"):
    sample(name, IMAGES, (32, 1, 1), label="channels")
for name in ("logical_and", "logical_or", "logical_xor"):
    sample(name, bools(BIG), bools(BIG))
sample("logical_not", bools(BIG))
sample("where", bools(BIG), BIG, BIG)
sample("clip", BIG, min=0.2, max=0.8)
sample("cast", BIG, dtype="float64")

for name in REDUCTIONS.split():
    sample(name, BIG, axis=1)
for name in ("max", "mean", "sum"):
    sample(name, IMAGES, axis=(0, 2, 3), label="channels")
sample("cumsum", BIG, axis=1)
sample("all", bools(BIG), axis=1)
sample("any", bools(BIG), axis=1)
sample("sum_to", IMAGES, shape=(32, 1, 1))

sample("broadcast_to", (4096,), shape=BIG)
sample("concat", BIG, BIG, call=lambda *xs: tg.ops.concat(xs, axis=1))
sample("concatenate", BIG, BIG, axis=1)
sample("expand_dims", BIG, axis=0)
sample("flip", BIG, axis=1)
sample("pad", IMAGES, call=lambda x: tg.ops.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))))
sample("pad_constant", IMAGES, pad_width=((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0.0)
sample("permute_dims", BIG, axes=(1, 0))
sample("reshape", BIG, shape=(-1,))
sample("roll", BIG, call=lambda x: tg.ops.roll(x, 3, axis=1))
sample("split", BIG, call=lambda x: tg.ops.split(x, 4, axis=1))
sample("squeeze", (1, *BIG), axis=0)
sample("stack", BIG, BIG, call=lambda *xs: tg.ops.stack(xs, axis=0))
sample("tile", BIG, call=lambda x: tg.ops.tile(x, (2, 1)))

sample("argsort", ROWS, axis=1)
sample("embedding", ints((64, 128), 10_000), (10_000, 256))
sample("getitem", BIG, call=lambda x: x[::2, 1:-1])
sample("getitem", BIG, ints((512,), 256), label="rows", call=lambda x, i: x[i])
sample("gather", (10_000, 256), ints((4096,), 10_000), call=lambda x, i: x[i])
sample(
    "scatter_add",
    (4096, 256),
    ints((4096,), 10_000),
    key=("array", (0, 256, 1)),
    shape=(10_000, 256),
)
sample("one_hot", ints((4096,), 100), num_classes=100)
sample("take", BIG, ints((512,), 256), call=lambda x, i: tg.ops.take(x, i, axis=0))
sample("take_along_axis", ROWS, ints((256, 10), 1000), axis=1)

sample("einsum", (32, 128, 64), (32, 64, 128), call=lambda *xs: tg.ops.einsum("bij,bjk->bik", *xs))
sample("matmul", (64, 400), (400, 120), label="small")
sample("matmul", (512, 512), (512, 512))
sample("matmul", (32, 128, 64), (32, 64, 128), label="batch")
sample("outer", (1024,), (1024,))

CONVOLUTIONS = {
    "vgg": ((32, 64, 16, 16), (64, 64, 3, 3), {"padding": 1}),
    "stride": ((32, 64, 16, 16), (128, 64, 3, 3), {"padding": 1, "stride": 2}),
    "pointwise": ((32, 64, 16, 16), (64, 64, 1, 1), {}),
    "depthwise": ((8, 32, 16, 16), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
    "1d": ((32, 64, 256), (64, 64, 3), {"padding": 1}),
    "3d": ((4, 16, 16, 16, 16), (16, 16, 3, 3, 3), {"padding": 1}),
}
for label, (x, w, given) in CONVOLUTIONS.items():
    SAMPLES.extend(convolutions(label, x, w, **given))
sample("conv_transpose", (32, 64, 8, 8), (64, 32, 2, 2), stride=2)

HALF = (*IMAGES[:2], 14, 14)
# the canonical form of pooling's parameters: the module of the op knows it
PLAIN = importlib.import_module(Op.declared["max_pool_input"]).Windows(
    (2, 2), (2, 2), (0, 0), (1, 1), False
)
sample("max_pool", IMAGES, kernel_size=2)
sample("max_pool", IMAGES, label="overlapping", kernel_size=3, stride=2, padding=1)
sample("max_pool_input", HALF, IMAGES, HALF, windows=PLAIN)
sample("max_pool_pick", IMAGES, IMAGES, HALF, windows=PLAIN)
sample("avg_pool", IMAGES, kernel_size=2)
sample("avg_pool_input", HALF, size=(28, 28), windows=PLAIN, count_include_pad=True)
sample("adaptive_avg_pool", IMAGES, output_size=5)
sample("adaptive_max_pool", IMAGES, output_size=5)

sample("batch_norm", IMAGES, (32,), (32,), (32,), (32,), training=True, label="training")
sample("batch_norm", IMAGES, (32,), (32,), (32,), (32,), label="evaluation")
CHANNELS = (1, 32, 1, 1)
sample("axis_mean", IMAGES, axis=(0, 2, 3))
sample("axis_variance", IMAGES, CHANNELS)
sample("standardize", IMAGES, CHANNELS, CHANNELS, CHANNELS, CHANNELS)
sample("standardize_weight", IMAGES, IMAGES, CHANNELS, CHANNELS, shape=CHANNELS)
sample("standardize_input", IMAGES, IMAGES, *[CHANNELS] * 5)
sample("layer_norm", BIG, (4096,), (4096,), normalized_shape=4096)
sample("group_norm", IMAGES, (32,), (32,), num_groups=8)

for name in ("softmax", "log_softmax"):
    sample(name, ROWS, axis=1)
sample("cross_entropy", ROWS, ints((256,), 1000))
sample("nll_loss", ROWS, ints((256,), 1000))
sample("label_cross_entropy", ROWS, ints((256,), 1000), ignore_index=-100, reduction="mean")
sample(
    "label_cross_entropy_input",
    (),
    ROWS,
    ints((256,), 1000),
    ignore_index=-100,
    reduction="mean",
)
for name in ("binary_cross_entropy_with_logits", "huber_loss", "l1_loss", "mse_loss"):
    sample(name, BIG, BIG)

PLACES = (IMAGES[0], *IMAGES[2:])
sample("resample", IMAGES, PLACES, PLACES)

KEY = ints((4,), 1000, "uint32")
sample("random_bits", KEY, shape=BIG)
sample("random_bits_each", ints((BIG[0], 4), 1000, "uint32"), shape=BIG)
sample("unit_interval", ints(BIG, 1 << 32, "uint32"), dtype="float32")
sample("box_muller", (BIG[0] * BIG[1] // 2, 2), shape=BIG)
sample("literal", call=lambda: tg.ops.literal(values=(1, 2, 3, 4), dtype="uint32"))
for name in ("uniform", "normal"):
    sample(name, KEY, call=lambda key, name=name: getattr(tg.ops, name)(BIG, key=key))
sample("bernoulli", KEY, call=lambda key: tg.ops.bernoulli(BIG, p=0.5, key=key))
sample("permutation", KEY, call=lambda key: tg.ops.permutation(60_000, key=key))
sample("drop", IMAGES, KEY, p=0.5)
sample("dropout", IMAGES, KEY, call=lambda x, key: tg.ops.dropout(x, key=key))

SAMPLES += [gradient_of(s) for s in SAMPLES if s.op in GRADIENTS]
