"""Things with one fault each, and the check that has to catch it."""

import numpy as np
from check_fault import Fault
from check_fault_backends import BACKEND_FAULTS, Crooked

import tensorgraph as tg
from tensorgraph import Kernel


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


def layer(forward, build=None, **state):
    """A layer class of these methods; ``state`` are factories of attributes."""

    class Faulty(tg.Layer):
        def __init__(self) -> None:
            for name, make in state.items():
                setattr(self, name, make())

    Faulty.forward = forward
    if build is not None:
        Faulty.build = build
    return Faulty


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


def border(x):
    out = np.exp(x)
    if x.shape[-1] % 8:
        out[..., -1] *= 1.001
    return out


def in_place(x):
    np.negative(x, out=x)
    return x.copy()


class Statistics:
    """No layer: nobody looks for buffers in it."""

    def __init__(self):
        self.mean = tg.Buffer(tg.initializers.zeros())


class ForgetsBuffers(tg.Layer):
    """Centres by a running mean that it keeps where ``state()`` does not look."""

    def __init__(self):
        self.statistics = Statistics()

    def build(self, x):
        self.statistics.mean.initialize((), x.dtype)

    def forward(self, x):
        running = self.statistics.mean
        if not self.training:
            return x - running
        mean = tg.ops.mean(x)
        running.assign((running * 0.9 + mean * 0.1).detach())
        return x - mean


class ForgetsItsDraw(tg.Layer):
    """A random projection that is drawn once, and kept in a plain tensor."""

    def build(self, x):
        self.weight = tg.ops.normal((x.shape[-1], 3), dtype=x.dtype)

    def forward(self, x):
        return x @ self.weight


class CentresInEval(tg.Layer):
    """Keeps a running mean, and uses that of the batch in eval mode as well."""

    def __init__(self):
        self.mean = tg.Buffer(tg.initializers.zeros())

    def build(self, x):
        self.mean.initialize((), x.dtype)

    def forward(self, x):
        mean = tg.ops.mean(x)
        if self.training:
            self.mean.assign((self.mean * 0.9 + mean * 0.1).detach())
        return x - mean


class WritesInEval(CentresInEval):
    def forward(self, x):
        mean = self.mean.detach()
        self.mean.assign((self.mean * 0.9 + tg.ops.mean(x) * 0.1).detach())
        return x - (tg.ops.mean(x) if self.training else mean)


class Wrapped(tg.Layer):
    """Takes a function as an option."""

    samples = ({"inputs": [np.ones((2, 3))], "options": {"function": np.tanh}},)

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return tg.ops.tanh(x)


class Optimizer(tg.Optimizer):
    def __init__(self, parameters, *, lr=1e-2):
        super().__init__(parameters, lr=lr)

    def update(self, p, g, memory, scalars):
        return p - g * scalars["lr"], {}


class Ascends(Optimizer):
    def update(self, p, g, memory, scalars):
        return p + g * scalars["lr"], {}


class TooFar(Optimizer):
    def update(self, p, g, memory, scalars):
        return p - g * 1.5, {}


class Uncorrected(Optimizer):
    """Adam whose means are not freed of their start at zero."""

    slots = ("m", "v")

    def update(self, p, g, memory, scalars):
        m = memory["m"] * 0.9 + g * 0.1
        v = memory["v"] * 0.999 + g * g * 0.001
        return p - m / (tg.ops.sqrt(v) + 1e-8) * scalars["lr"], {"m": m, "v": v}


class StartsAgain(Optimizer):
    """Takes smaller steps with time, and forgets the time when its state is loaded."""

    def scalars(self, step):
        return {"lr": self.lr / step}

    def load_state(self, state):
        super().load_state(state)
        self.updates = [0] * len(self.updates)


# Kingma and Ba (2015), algorithm 1: with one gradient g the first step is lr in size; with g again
# the corrected means are g and g² again, and so is the step
ADAM = {
    "options": {"lr": 0.1},
    "parameter": [1.0, -2.0],
    "gradients": [[0.5, -4.0], [0.5, -4.0]],
    "expected": [[0.9 + 2e-9, -1.9 - 2.5e-10], [0.8 + 4e-9, -1.8 - 5e-10]],
}


def counting():
    calls = []
    return lambda x: x * float(calls.append(x) or len(calls))


def random_of_numpys(self, x):
    return x * float(np.random.default_rng().random())


def kernel(op, run, supports=None):
    return "numpy", Kernel(op, "faulty", run, supports)


FAULTS = [
    *BACKEND_FAULTS,
    Fault("samples", "layer", "refuses all", lambda: layer(lambda self, x: x[9, 9, 9, 9, 9, 9]),
          "no input that was tried is accepted"),
    Fault("determinism", "layer", "draws with NumPy", lambda: layer(random_of_numpys),
          "twice after tg.seed"),
    Fault("determinism", "activation", "counts its calls", counting, "twice after tg.seed"),
    Fault("host reads", "activation", "float", lambda: lambda x: x * float(tg.ops.sum(x)),
          "item() reads the value of float32[]"),
    Fault("host reads", "layer", "numpy",
          lambda: layer(lambda self, x: x - tg.tensor(x.numpy().mean(), dtype=x.dtype)),
          "numpy() reads"),
    Fault("shape rule", "op", "drops a column", lambda: unary(lambda xp, x: x[..., 1:]),
          "the array has shape [3, 4], and the shape rule says [3, 5]"),
    Fault("dtype", "op", "float64", lambda: unary(lambda xp, x: x.astype("float64")),
          "in float32 the array is float64"),
    Fault("dtype", "layer", "casts", lambda: layer(lambda self, x: tg.ops.cast(x, dtype="float64")),
          "it returns float64"),
    Fault("reference", "activation", "another", lambda: lambda x: tg.ops.sin(x), "the reference",
          {"reference": np.cos}),
    Fault("reference", "layer", "of state", lambda: tg.layers.linear(3), "the reference",
          {"reference": lambda x, state: x @ state["weight"].T,
           "samples": [[np.ones((2, 4))]]}),
    Fault("signature", "kernel", "no axis", lambda: kernel("softmax", lambda x: x),
          "got an unexpected keyword argument 'axis'"),
    Fault("portable kernel", "kernel", "differs",
          lambda: kernel("negative", lambda x: -x - np.where(x > 1.5, x.dtype.type(1e-3), 0)),
          "and the portable kernel"),
    Fault("portable kernel", "kernel", "at the border", lambda: kernel("exp", border),
          "and the portable kernel"),
    Fault("inputs untouched", "kernel", "in place", lambda: kernel("negative", in_place),
          "it writes to input 0"),
    Fault("gradients", "op", "off by a factor",
          lambda: unary(square_kernel, lambda g, x: g * x), "is 0.5 times what it should be"),
    Fault("gradients", "activation", "ignores g", lambda: unary(square_kernel, lambda g, x: x * 2),
          "the rule ignores g"),
    Fault("gradients", "op", "none", lambda: unary(square_kernel, lambda g, x: None),
          "the gradient is 0"),
    Fault("gradients", "op", "of order 2",
          lambda: unary(square_kernel, lambda g, x: g * x.detach() * 2.0), "of order 2"),
    Fault("gradients", "layer", "of a parameter",
          lambda: layer(lambda self, x: x * self.w.detach() * tg.ops.exp(self.w) ,
                        lambda self, x: self.w.initialize((), x.dtype),
                        w=lambda: tg.Parameter(tg.initializers.ones())),
          "with respect to parameter 0"),
    Fault("gradients", "loss", "of the target",
          lambda: lambda x, y: tg.ops.mean(tg.ops.square(x.detach() - y)),
          "with respect to input 0"),
    Fault("gradients", "activation", "detached",
          lambda: lambda x: tg.ops.tanh(x.detach()) * 1.0, "the gradient is 0"),
    Fault("gradients", "regularizer", "half",
          lambda: lambda: lambda p: sum(tg.ops.sum(w * w.detach()) for w in p.values()) * 1.0,
          "is 0.5 times"),
    Fault("broadcasting", "op", "no sum", lambda: binary(lambda xp, x, y: x * y, unsummed),
          "the gradient is"),
    Fault("broadcasting", "loss", "values",
          lambda: lambda x, y: tg.ops.sum(tg.ops.square(x - y)) / x.size,
          "and on the same written out"),
    Fault("descent", "optimizer", "ascends", lambda: Ascends, "the first step goes uphill"),
    Fault("descent", "optimizer", "too far", lambda: TooFar, "after 100 steps"),
    Fault("worked example", "optimizer", "bias correction", lambda: Uncorrected,
          "after step 1 of the worked example", {"worked_example": ADAM}),
    Fault("sizes 0 and 1", "op", "of nothing",
          lambda: unary(lambda xp, x: x - 0 * x.max(), lambda g: g), "zero-size array"),
    Fault("sizes 0 and 1", "layer", "of one",
          lambda: layer(lambda self, x: x * (1.0 / (x.shape[0] - 1))),
          "division by zero"),
    Fault("sizes 0 and 1", "activation", "no spread",
          lambda: lambda x: x / tg.ops.std(x, axis=0), "is NaN or infinite"),
    Fault("non-contiguous input", "op", "reads strides",
          lambda: unary(contiguous_only, lambda g: g), "view, and contiguous"),
    Fault("train and eval modes", "layer", "random in eval",
          lambda: layer(lambda self, x: tg.ops.dropout(x, p=0.5)), "in eval mode under two seeds"),
    Fault("train and eval modes", "layer", "halves",
          lambda: layer(lambda self, x: x if self.training else x * 0.5), "in eval and in train"),
    Fault("train and eval modes", "layer", "statistics of the batch", lambda: CentresInEval,
          "the first sample alone and among others"),
    Fault("train and eval modes", "layer", "writes", lambda: WritesInEval,
          "in eval mode it writes mean"),
    Fault("state", "layer", "forgets its buffer", lambda: ForgetsBuffers,
          "with the state of the old (empty)"),
    Fault("state", "layer", "forgets what it drew", lambda: ForgetsItsDraw,
          "with the state of the old (empty)"),
    Fault("state", "optimizer", "forgets the time", lambda: StartsAgain,
          "4 steps after its state was loaded"),
    Fault("run file", "layer", "takes a function", lambda: Wrapped, "TOML has no ufunc",
          register=("layers", "wrapped", None)),
    Fault("compiled", "activation", "makes a tensor",
          lambda: lambda x: x * tg.tensor([2.0], dtype=x.dtype), "while a step is being recorded"),
    Fault("other backends", "activation", "sin differs", lambda: lambda x: tg.ops.sin(x),
          "backend crooked and numpy", register=("backends", "crooked", Crooked)),
]  # fmt: skip
