"""Ops, activations, losses and regularizers with one fault each."""

import numpy as np

import tensorgraph as tg
from planted.backends import Crooked
from planted.fault import Fault


def unary(kernel, rule=None, shape=lambda x: x.shape):
    """A fresh op of one input."""

    def faulty(x: tg.Shaped) -> tg.Spec:
        return tg.Spec(shape(x), x.dtype)

    made = tg.op(faulty)
    made.kernel(kernel)
    if rule is not None:
        made.vjp(rule)
    return made


def binary(kernel, rule):
    def faulty_pair(x: tg.Shaped, y: tg.Shaped) -> tg.Spec:
        return tg.Spec(np.broadcast_shapes(x.shape, y.shape), x.dtype)

    made = tg.op(faulty_pair)
    made.kernel(kernel)
    made.vjp(rule)
    return made


def square_kernel(xp, x):
    return x * x


def unsummed(g, x, y):
    """The gradient of y without the sum over the axes that y was broadcast along."""
    gy = g * x
    return g * y, gy if y.shape == gy.shape else tg.ops.getitem(gy, 0)


def contiguous_only(xp, x):
    """Reads the memory from the first element on, as if the array were contiguous."""
    strides = np.zeros(x.shape, x.dtype).strides
    return np.lib.stride_tricks.as_strided(x, x.shape, strides).copy()


def counting():
    calls = []
    return lambda x: x * float(calls.append(x) or len(calls))


def bent(x, slopes):
    """Takes a list for its slopes, and a run file's lists come as tuples."""
    low, high, *_ = slopes + [1.0]  # noqa: RUF005  it is the fault
    return tg.ops.where(x > 0, x * high, x * low)


FUNCTION_FAULTS = [
    Fault("samples", "op", "refuses all", lambda: unary(lambda xp, x: x[..., 99]),
          "no input that was tried is accepted"),
    Fault("determinism", "activation", "counts its calls", counting, "twice after tg.seed"),
    Fault("determinism", "regularizer", "draws with NumPy",
          lambda: lambda: lambda p: sum(
              tg.ops.sum(w * w) * float(np.random.default_rng().random()) for w in p.values()),
          "twice after tg.seed"),
    Fault("host reads", "activation", "float", lambda: lambda x: x * float(tg.ops.sum(x)),
          "item() reads the value of float32[]"),
    Fault("shape rule", "op", "drops a column", lambda: unary(lambda xp, x: x[..., 1:]),
          "the array has shape [3, 4], and the shape rule says [3, 5]"),
    Fault("shape rule", "activation", "another without data",
          lambda: lambda x: x.T if x.backend.name == "abstract" else x * 1.0,
          "without data it is [5, 3]"),
    Fault("shape rule", "activation", "reads the array",
          lambda: lambda x: x * float(x.data.size), "its values left out: AttributeError"),
    Fault("shape rule", "loss", "one for each sample",
          lambda: lambda x, y: tg.ops.mean(tg.ops.square(x - y), axis=-1),
          "it returns shape [3], and a loss is one number"),
    Fault("shape rule", "regularizer", "one for each row",
          lambda: lambda: lambda p: tg.ops.sum(next(iter(p.values())), axis=1),
          "and a regularizer is one number"),
    Fault("dtype", "op", "float64", lambda: unary(lambda xp, x: x.astype("float64")),
          "in float32 the array is float64"),
    Fault("dtype", "activation", "the default's", lambda: lambda x: x + tg.ops.normal(x.shape),
          "DtypeError"),
    Fault("dtype", "loss", "promotes",
          lambda: lambda x, y: tg.ops.mean(tg.ops.square(tg.ops.cast(x - y, dtype="float64"))),
          "it returns float64[]"),
    Fault("reference", "activation", "another", lambda: lambda x: tg.ops.sin(x), "the reference",
          {"reference": np.cos}),
    Fault("reference", "loss", "a sum for a mean",
          lambda: lambda x, y: tg.ops.sum(tg.ops.square(x - y)), "the reference",
          {"reference": lambda x, y: np.square(x - y).mean()}),
    Fault("gradients", "op", "off by a factor",
          lambda: unary(square_kernel, lambda g, x: g * x), "is 0.5 times what it should be"),
    Fault("gradients", "op", "ignores g", lambda: unary(square_kernel, lambda g, x: x * 2.0),
          "the rule ignores g"),
    Fault("gradients", "op", "none", lambda: unary(square_kernel, lambda g, x: None),
          "the gradient is 0"),
    Fault("gradients", "op", "of order 2",
          lambda: unary(square_kernel, lambda g, x: g * x.detach() * 2.0), "of order 2"),
    Fault("gradients", "activation", "detached",
          lambda: lambda x: tg.ops.tanh(x.detach()) * 1.0, "the gradient is 0"),
    Fault("gradients", "loss", "of one input",
          lambda: lambda x, y: tg.ops.mean(tg.ops.square(x.detach() - y)),
          "with respect to input 0"),
    Fault("gradients", "regularizer", "half",
          lambda: lambda: lambda p: sum(tg.ops.sum(w * w.detach()) for w in p.values()) * 1.0,
          "is 0.5 times"),
    Fault("broadcasting", "op", "no sum", lambda: binary(lambda xp, x, y: x * y, unsummed),
          "the gradient is"),
    Fault("broadcasting", "loss", "values",
          lambda: lambda x, y: tg.ops.sum(tg.ops.square(x - y)) / x.size,
          "and on the same written out"),
    Fault("sizes 0 and 1", "op", "of nothing",
          lambda: unary(lambda xp, x: x - 0 * x.max(), lambda g: g), "zero-size array"),
    Fault("sizes 0 and 1", "activation", "no spread",
          lambda: lambda x: x / tg.ops.std(x, axis=0), "is NaN or infinite"),
    Fault("non-contiguous input", "op", "reads strides",
          lambda: unary(contiguous_only, lambda g: g), "view, and contiguous"),
    Fault("run file", "activation", "wants a list", lambda: bent, "can only concatenate tuple",
          {"samples": [{"inputs": [np.array([-2.5, 3.0])], "options": {"slopes": [0.5, 2.0]}}]},
          register=("activations", "bent", None)),
    Fault("compiled", "activation", "makes a tensor",
          lambda: lambda x: x * tg.tensor([2.0], dtype=x.dtype), "while a step is being recorded"),
    Fault("other backends", "activation", "sin differs", lambda: lambda x: tg.ops.sin(x),
          "backend crooked and numpy", register=("backends", "crooked", Crooked)),
]  # fmt: skip
