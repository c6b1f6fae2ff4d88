"""What training alone has: batch norm with the sum of a residual branch and ReLU, forward and
backward, and the update of all parameters of a model."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step
from tensorgraph_cupy.kernels.elementwise import elementwise
from tensorgraph_cupy.kernels.many import Row, many
from tensorgraph_cupy.kernels.moments import moments
from tensorgraph_cupy.kernels.reduce import reduce

import tensorgraph as tg
from bench.cuda.case import Case
from bench.cuda.counts import bytes_of
from bench.cuda.ground import Ground, Held, Trial
from bench.cuda.passes import SINGLE, STORED, Ints, named

EPSILON = 1e-5
NORMED: list[Ints] = [
    (256, 64, 112, 112), (256, 256, 56, 56), (256, 512, 28, 28), (256, 2048, 7, 7),
    (128, 64, 32, 32), (128, 512, 4, 4),
]  # fmt: skip


def trained(small: bool) -> Iterator[Case]:
    tiny: list[Ints] = [(2, 8, 6, 6)]
    for number, shape in enumerate(tiny if small else NORMED):
        for dtype in STORED:
            one = bytes_of((shape, dtype))
            text, size = named(shape), math.prod(shape)
            for name, passes, flops, make in (
                ("batch norm + add + relu", 4, 9, _forward),  # x twice, the branch, the result
                ("batch norm + add + relu, gradients", 7, 12, _backward),
            ):
                made = functools.partial(make, shape, dtype)
                first = number in (1, 3)
                yield Case(name, text, dtype, passes * one, flops * size, made, first=first)
    sizes, text = ([5, 64, 33], "3 arrays") if small else _parameters()
    for name, passes in (("sgd", 5), ("adam", 7)):
        make = functools.partial(_updated, name, sizes)
        moved = passes * bytes_of(((sum(sizes),), SINGLE))
        yield Case(f"update by {name}", text, SINGLE, moved, 0, make, first=True)


@functools.cache
def _parameters() -> tuple[list[int], str]:
    with tg.use(backend="numpy"):  # to say what there is to be timed needs no kernel of the GPU
        model = tg.models.resnet50(1000, stem="imagenet")
        model.infer_shape(tg.Spec((2, 3, 224, 224), SINGLE))
        return [x.size for x in model.parameters()], "parameters of ResNet-50"


# batch norm


class Channels:
    """Batch norm's arrays: images, and what there is for each channel."""

    def __init__(self, shape: Ints, dtype: str, ground: Ground) -> None:
        self.rows, self.channels = math.prod(shape) // shape[1], shape[1]
        self.x, self.r = ground.random(shape, dtype), ground.random(shape, dtype)
        self.weight, self.bias = (ground.random((self.channels,)) for _ in range(2))
        self.mean, self.variance, self.inverse = (ground.empty((self.channels,)) for _ in range(3))
        self.space = (self.rows, self.channels)

    def statistics(self, device: Device, ground: Ground) -> None:
        """The mean of each channel, and one over its deviation."""
        where = (self.x.address, self.mean.address, self.variance.address)
        moments(device, self.x.view.dtype, *self.space, *where, ground.workspace)
        one = Operand(SINGLE, (True,))
        steps = (
            Step("constant", (), SINGLE, (("value", EPSILON),)),
            Step("add", (0, 1), SINGLE),
            Step("rsqrt", (2,), SINGLE),
        )
        chain = Chain((one,), steps, ((3, SINGLE),))
        given, out = [self.variance.address], [self.inverse.address]
        elementwise(device, chain, (self.channels,), given, out)


def _forward(shape: Ints, dtype: str, ground: Ground) -> Trial:
    own, out = Channels(shape, dtype, ground), ground.empty(shape, dtype)
    whole, channel = Operand(dtype, (True, True)), Operand(SINGLE, (False, True))
    steps = (
        Step("standardize", (0, 1, 2, 3, 4), SINGLE),
        Step("add", (6, 5), SINGLE),
        Step("relu", (7,), SINGLE),
    )
    chain = Chain((whole, *[channel] * 4, whole), steps, ((8, dtype),))
    held = (own.x, own.mean, own.inverse, own.weight, own.bias, own.r)
    given = [each.address for each in held]

    def ours(device: Device) -> None:
        own.statistics(device, ground)
        elementwise(device, chain, own.space, given, [out.address])

    if ground.torch is None:
        return Trial(ours, None, (out,), own)
    normed, r = _torch_norm(own, ground), ground.tensor(own.r)
    return Trial(ours, lambda: (normed()[0] + r).relu_(), (out,), own)


def _torch_norm(own: Channels, ground: Ground) -> Any:
    """PyTorch's own choice among its ways; of the results the first is the images."""
    x, weight, bias = (ground.tensor(each) for each in (own.x, own.weight, own.bias))
    call = ground.torch._batch_norm_impl_index
    return lambda: call(x, weight, bias, None, None, True, 0.1, EPSILON, True)


def _backward(shape: Ints, dtype: str, ground: Ground) -> Trial:
    """Of the images, the branch, the weight and the bias, from the gradient of the result and the
    result, which says where ReLU let it through."""
    own, y = Channels(shape, dtype, ground), ground.random(shape, dtype)
    g = own.r
    gx, branch = ground.empty(shape, dtype), ground.empty(shape, dtype)
    total, along = (ground.empty((own.channels,)) for _ in range(2))
    sums, last = _gradients(dtype, own.rows)
    given = [each.address for each in (g, y, own.x, own.mean, own.inverse)]
    channel = (own.mean, own.inverse, own.weight, total, along)
    then = [each.address for each in (branch, own.x, *channel)]
    own.statistics(ground.device, ground)

    def ours(device: Device) -> None:
        results, scales = [total.address, along.address], [1.0, 1.0]
        sizes = (1, *own.space)
        where = ([branch.address], results, scales, ground.workspace)
        reduce(device, sums, sizes, given, *where)
        elementwise(device, last, own.space, then, [gx.address])

    outs, holds = (branch, gx, along, total), (own, y)
    if (torch := ground.torch) is None:
        return Trial(ours, None, outs, holds)
    _, mean, inverse, reserve, way = _torch_norm(own, ground)()
    x, weight, grad, result = (ground.tensor(each) for each in (own.x, own.weight, g, y))
    backward = torch.ops.aten._batch_norm_impl_index_backward

    def theirs() -> Any:
        passed = torch.ops.aten.threshold_backward(grad, result, 0)
        kept = (weight, None, None, mean, inverse, True, EPSILON, [True] * 3, reserve)
        return passed, *backward(way, x, passed, *kept)

    return Trial(ours, theirs, outs, holds)


def _gradients(dtype: str, rows: int) -> tuple[Chain, Chain]:
    """Both sums for each channel, with what passes ReLU stored; then the images' gradient."""
    whole, channel = Operand(dtype, (True,) * 3), Operand(SINGLE, (False, False, True))
    steps = (
        Step("constant", (), SINGLE, (("value", 0.0),)),
        Step("greater", (1, 5), "bool"),
        Step("cast", (6,), SINGLE),
        Step("multiply", (0, 7), SINGLE),
        Step("subtract", (2, 3), SINGLE),
        Step("multiply", (9, 4), SINGLE),
        Step("multiply", (10, 8), SINGLE),
    )
    both = (Reduction(8, "sum", SINGLE), Reduction(11, "sum", SINGLE))
    sums = Chain((whole,) * 3 + (channel,) * 2, steps, ((8, dtype),), both)
    place, one = Operand(dtype, (True, True)), Operand(SINGLE, (False, True))
    share = (("share", 1 / rows),)
    step = Step("standardize_input", tuple(range(7)), SINGLE, share)
    return sums, Chain((place,) * 2 + (one,) * 5, (step,), ((7, dtype),))


# updates

RATE, MOMENTUM, BETAS, SMALL = 1e-3, 0.9, (0.9, 0.999), 1e-8


def _updated(name: str, sizes: Sequence[int], ground: Ground) -> Trial:
    """The first step of all parameters, from zeros, in one launch: what is compared is the step."""
    kinds = ["p", "v"] if name == "sgd" else ["p", "m", "v"]
    arrays: dict[str, list[Held]] = {kind: [] for kind in (*kinds, "g")}
    for size in sizes:
        for kind, held in arrays.items():
            held.append(ground.random((size,)))
            if kind != "g":
                ground.device.fill(held[-1].address, 4 * size)
    scale = RATE if name == "sgd" else RATE / (1 - BETAS[0])
    rate = ground.put(np.array([scale], np.float32))
    every = zip(*[arrays[kind] for kind in (*kinds, "g")], strict=True)
    chain, rows = _sgd() if name == "sgd" else _adam(), []
    for size, held in zip(sizes, every, strict=True):
        places = [each.address for each in held]
        rows.append(Row(chain, size, [*places, rate.address, *places[: len(kinds)]]))
    ready = many(ground.device, rows)
    outs, holds = tuple(arrays["p"]), (arrays, rate, ready)
    if (torch := ground.torch) is None:
        return Trial(ready.launch, None, outs, holds)
    parameters = [ground.tensor(each).clone() for each in arrays["p"]]
    for parameter, g in zip(parameters, arrays["g"], strict=True):
        parameter.grad = ground.tensor(g)
    if name == "sgd":
        optimizer = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM, fused=True)
    else:
        capturable = not ground.emulated
        optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True, capturable=capturable)

    def theirs() -> Any:
        optimizer.step()
        return parameters

    return Trial(ready.launch, theirs, outs, holds)


class Writing:
    """Steps of a chain, one after the other, with their numbers."""

    def __init__(self, inputs: int) -> None:
        self.inputs, self.steps = inputs, list[Step]()

    def __call__(self, op: str, *operands: int, **params: float) -> int:
        self.steps.append(Step(op, operands, SINGLE, tuple(params.items())))
        return self.inputs + len(self.steps) - 1


def _chain(write: Writing, *outputs: int) -> Chain:
    inputs = (*[Operand(SINGLE, (True,))] * (write.inputs - 1), Operand(SINGLE, (False,)))
    return Chain(inputs, tuple(write.steps), tuple((number, SINGLE) for number in outputs))


def _sgd() -> Chain:
    write = Writing(4)  # p, v, g, rate
    v = write("add", write("multiply", 1, write("constant", value=MOMENTUM)), 2)
    return _chain(write, write("subtract", 0, write("multiply", 3, v)), v)


def _adam() -> Chain:
    write = Writing(5)  # p, m, v, g, rate
    moments_ = []
    for held, beta, x in ((1, BETAS[0], 3), (2, BETAS[1], write("square", 3))):
        old = write("multiply", held, write("constant", value=beta))
        moments_.append(write("add", old, write("multiply", x, write("constant", value=1 - beta))))
    m, v = moments_
    grown = write("constant", value=1 / math.sqrt(1 - BETAS[1]))
    root = write("multiply", write("sqrt", v), grown)
    below = write("add", root, write("constant", value=SMALL))
    step = write("multiply", 4, write("divide", m, below))
    return _chain(write, write("subtract", 0, step), m, v)
