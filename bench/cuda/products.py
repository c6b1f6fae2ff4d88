"""Convolutions, by cuDNN or as products, and products, by cuBLASLt, at the shapes of the reference
networks, beside PyTorch's calls of the same libraries."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels import conv, matmul
from tensorgraph_cupy.lib.convolution import Convolution
from tensorgraph_cupy.lib.cublaslt import mask_bytes

from bench.cuda.case import Case
from bench.cuda.counts import bytes_of, of_convolution, of_product
from bench.cuda.ground import Ground, Held, Trial

DTYPES = {"float32": "float32", "tf32": "float32", "bfloat16": "bfloat16"}
KINDS = {"y": "conv", "x": "conv, images' gradient", "w": "conv, filters' gradient"}


class Layer(NamedTuple):
    """A convolution of a network, of square images and filters; ``valid``: without padding, where
    else it is as wide as keeps the size."""

    batch: int
    channels: int
    filters: int
    size: int
    kernel: int
    stride: int = 1
    valid: bool = False

    def problem(self, kind: str, precision: str, epilogue: str = "none") -> Convolution:
        pad = 0 if self.valid else self.kernel // 2
        return Convolution(
            kind,
            self.batch,
            self.channels,
            self.filters,
            (self.size,) * 2,
            (self.kernel,) * 2,
            (self.stride,) * 2,
            ((pad, pad),) * 2,
            (1, 1),
            1,
            DTYPES[precision],
            "tf32" if precision == "tf32" else "float32",
            epilogue,
        )

    def __str__(self) -> str:
        text = f"{self.batch}x{self.channels}x{self.size}x{self.size} -> {self.filters}"
        return f"{text}, {self.kernel}x{self.kernel}/{self.stride}{' valid' * self.valid}"


def _of(batch: int, *layers: tuple[int, ...]) -> list[Layer]:
    return [Layer(batch, *layer) for layer in layers]  # type: ignore[arg-type]  # not valid


# all that the steps of bench/cuda/account.py have
KEY = _of(
    256, (64, 64, 56, 3), (64, 256, 56, 1), (128, 128, 28, 3), (1024, 256, 14, 1),
    (512, 512, 7, 3), (3, 64, 224, 7, 2), (256, 512, 56, 1, 2),
)  # fmt: skip
OTHERS = _of(
    256, (64, 64, 56, 1), (256, 64, 56, 1), (256, 128, 56, 1), (128, 128, 56, 3, 2),
    (128, 512, 28, 1), (512, 128, 28, 1), (512, 256, 28, 1), (256, 256, 28, 3, 2),
    (256, 256, 14, 3), (256, 1024, 14, 1), (512, 1024, 28, 1, 2), (1024, 512, 14, 1),
    (512, 512, 14, 3, 2), (512, 2048, 7, 1), (2048, 512, 7, 1), (1024, 2048, 14, 1, 2),
)  # fmt: skip
RESNET18 = _of(
    128, (64, 64, 32, 3), (128, 128, 16, 3), (256, 256, 8, 3), (512, 512, 4, 3), (3, 64, 32, 3),
    (64, 128, 32, 3, 2), (128, 256, 16, 3, 2), (256, 512, 8, 3, 2), (64, 128, 32, 1, 2),
    (128, 256, 16, 1, 2), (256, 512, 8, 1, 2),
)  # fmt: skip
SMALL = [
    Layer(64, 1, 6, 28, 5), Layer(64, 6, 16, 14, 5, 1, valid=True),  # LeNet-5
    Layer(128, 1, 32, 26, 3, 1, valid=True), Layer(128, 32, 64, 12, 3, 1, valid=True),
    *_of(128, (3, 32, 32, 3), (32, 32, 32, 3), (32, 64, 16, 3), (64, 64, 16, 3)),  # VGG-small
]  # fmt: skip
TINY = [Layer(2, 8, 8, 6, 3), Layer(2, 8, 16, 6, 1)]


def convolutions(small: bool) -> Iterator[Case]:
    if small:
        for layer in TINY:
            for kind in KINDS:
                yield convolution(layer.problem(kind, "bfloat16"), layer, "bfloat16", True)
        yield convolution(TINY[0].problem("y", "tf32", "bias_relu"), TINY[0], "tf32", True)
        return
    for precision, layers, first in (
        ("bfloat16", KEY, True),
        ("tf32", KEY[:4], True),
        ("tf32", [*SMALL, *RESNET18], False),
        ("bfloat16", [*RESNET18, *SMALL, *OTHERS], False),
        ("tf32", [*KEY[4:], *OTHERS], False),
        ("float32", KEY[:3], False),
    ):
        for layer in layers:
            for kind in KINDS:
                yield convolution(layer.problem(kind, precision), layer, precision, first)
    for layer in SMALL[:4]:
        for precision in ("tf32", "bfloat16"):
            problem = layer.problem("y", precision, "bias_relu")
            yield convolution(problem, layer, precision, False)


def convolution(problem: Convolution, layer: Layer, precision: str, first: bool) -> Case:
    name = KINDS[problem.kind] + (" + bias + relu" if problem.epilogue != "none" else "")
    make = functools.partial(_convolution, problem)
    moved, flops = of_convolution(problem)
    return Case(name, str(layer), precision, moved, flops, make, product=True, first=first)


def _convolution(problem: Convolution, ground: Ground) -> Trial:
    held = {
        name: ground.empty(shape, problem.dtype)
        if name == problem.kind
        else ground.random(shape, problem.dtype)
        for name, shape in problem.shapes().items()
    }
    out = held[problem.kind]
    if problem.epilogue != "none":
        held["bias"] = ground.random((problem.filters,), problem.dtype)
    size = conv.scratch(ground.device, problem)
    by = "cuBLASLt" if problem.is_product() else "gathered windows" if size else "cuDNN"

    def ours(device: Device) -> None:
        where = {name: each.address for name, each in held.items()}
        conv.launch(device, problem, **where, scratch=ground.scratch.address(size))

    if (torch := ground.torch) is None:
        return Trial(ours, None, (out,), held, by)
    of = {name: ground.tensor(each) for name, each in held.items()}
    padding = [before for before, _ in problem.padding]
    geometry = (list(problem.stride), padding, list(problem.dilation), False, [0, 0], 1)

    def theirs() -> Any:
        if problem.kind == "y":
            made = torch.ops.aten.convolution(of["x"], of["w"], of.get("bias"), *geometry)
            return made.relu_() if problem.epilogue == "bias_relu" else made
        wanted = [problem.kind == "x", problem.kind == "w", False]
        # of the array that is computed only the sizes and the layout are read
        given = (of["y"], of["x"], of["w"], None)
        found = torch.ops.aten.convolution_backward(*given, *geometry, wanted)
        return found[wanted.index(True)]

    return Trial(ours, theirs, (out,), held, by)


# products


class Sizes(NamedTuple):
    """``x @ y``; ``turned``: which of "x" and "y" lie column after column."""

    rows: int
    columns: int
    inner: int
    batch: int = 1
    turned: str = ""
    epilogue: str = "none"

    def __str__(self) -> str:
        batch = f"{self.batch} x " if self.batch > 1 else ""
        x, y = (name + "ᵀ" * (name in self.turned) for name in "xy")
        return f"{batch}{self.rows}x{self.inner}x{self.columns}, {x} @ {y}"


MASKED = "masked_sums"
BESIDES = {
    "none": "",
    "bias": " + bias",
    "bias_relu": " + bias + relu",
    MASKED: " through relu + bias' gradient",
}
LARGE = [Sizes(2048, 2048, 2048, 1, turned) for turned in ("", "x", "y", "xy")]
LAYERS = [
    Sizes(128, 512, 784, 1, "y"), Sizes(128, 512, 784, 1, "y", "bias_relu"),
    Sizes(512, 784, 128, 1, "x"), Sizes(128, 512, 256), Sizes(128, 128, 4096, 1, "y"),
    Sizes(256, 1000, 2048, 1, "y", "bias"), Sizes(1000, 2048, 256, 1, "x"),
    Sizes(256, 2048, 1000), Sizes(802816, 256, 64, 1, "y"), Sizes(64, 512, 64, 128),
    Sizes(512, 64, 512, 128), Sizes(64, 120, 400, 1, "y", "bias_relu"),
    Sizes(128, 512, 256, 1, "", MASKED),
]  # fmt: skip
TINY_SIZES = [
    Sizes(16, 24, 8, 1, "y", "bias_relu"), Sizes(16, 24, 8, 1, "x"), Sizes(16, 8, 24, 3),
    Sizes(16, 24, 8, 1, "y", "bias"), Sizes(16, 24, 8, 1, "", MASKED),
]  # fmt: skip


def products(small: bool) -> Iterator[Case]:
    for precision in ("bfloat16", "tf32", "float32"):
        for sizes in TINY_SIZES if small else (*LARGE, *LAYERS):
            yield product(sizes, precision, precision != "float32" and sizes in LARGE[:1])


def product(sizes: Sizes, precision: str, first: bool = False) -> Case:
    rows, columns, inner, batch, _, epilogue = sizes
    moved, flops = of_product(rows, columns, inner, batch, DTYPES[precision])
    if epilogue != "none":
        moved += bytes_of(((columns,), DTYPES[precision]))
    if epilogue == MASKED:
        moved += mask_bytes(rows, columns)
    name = f"matmul{BESIDES[epilogue]}"
    make = functools.partial(_product, sizes, precision)
    return Case(name, str(sizes), precision, moved, flops, make, product=True, first=first)


def factors(sizes: Sizes, precision: str, ground: Ground) -> dict[str, Held]:
    rows, columns, inner, batch, turned, _ = sizes
    found = {}
    for name, shape in (("x", (rows, inner)), ("y", (inner, columns)), ("out", (rows, columns))):
        lies = shape[::-1] if name in turned else shape
        flat = (batch * lies[0], lies[1])  # a batch lies as one tall matrix
        make = ground.empty if name == "out" else ground.random
        held = make(flat, DTYPES[precision])
        view = held.view
        if batch > 1:
            apart = math.prod(lies)
            view = view._replace(shape=(batch, *lies), strides=(apart, *view.strides))
        found[name] = held._replace(view=view.turned if name in turned else view)
    return found


def _product(sizes: Sizes, precision: str, ground: Ground) -> Trial:
    held = factors(sizes, precision, ground)
    how = "tf32" if precision == "tf32" else "float32"
    x, y, out = (held[name].view for name in ("x", "y", "out"))
    epilogue, vector, before, mask = matmul.PLAIN, None, None, None
    if sizes.epilogue != "none":
        make = ground.empty if sizes.epilogue == MASKED else ground.random
        vector = make((sizes.columns,), DTYPES[precision])
        epilogue = matmul.Epilogue(sizes.epilogue, vector.address)
    if sizes.epilogue == MASKED:  # where ReLU let another product through
        before = factors(sizes, precision, ground)
        mask = ground.empty((mask_bytes(sizes.rows, sizes.columns),), "uint8")
        views = [before[name].view for name in ("x", "y", "out")]
        relu = matmul.Epilogue("relu_mask", 0, mask.address)
        matmul.launch(ground.device, views[0], views[1], views[2], how=how, epilogue=relu)
        epilogue = epilogue._replace(mask=mask.address)

    def ours(device: Device) -> None:
        matmul.launch(device, x, y, out, how=how, epilogue=epilogue)

    outs = (held["out"], vector) if vector and mask else (held["out"],)
    holds = (held, vector, before, mask)
    if (torch := ground.torch) is None:
        return Trial(ours, None, outs, holds, "cuBLASLt")
    a, b = ground.tensor(held["x"]), ground.tensor(held["y"])
    c = None if vector is None else ground.tensor(vector)
    let_through = None if before is None else ground.tensor(before["out"])

    def theirs() -> Any:
        if c is None:
            return torch.matmul(a, b)
        if let_through is not None:
            g = torch.ops.aten.threshold_backward(torch.matmul(a, b), let_through, 0)
            return g, g.sum(0)
        if sizes.epilogue == "bias":
            return torch.addmm(c, a, b)
        return torch.ops.aten._addmm_activation(c, a, b)  # with ReLU, by cuBLASLt too

    return Trial(ours, theirs, outs, holds, "cuBLASLt")
