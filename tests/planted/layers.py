"""Layers with one fault each."""

import numpy as np

import tensorgraph as tg
from planted.fault import Fault


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


def of_numpys_generator(self, x):
    return x * float(np.random.default_rng().random())


LAYER_FAULTS = [
    Fault("samples", "layer", "refuses all", lambda: layer(lambda self, x: x[9, 9, 9, 9, 9, 9]),
          "no input that was tried is accepted"),
    Fault("determinism", "layer", "draws with NumPy", lambda: layer(of_numpys_generator),
          "twice after tg.seed"),
    Fault("host reads", "layer", "numpy",
          lambda: layer(lambda self, x: x - tg.tensor(x.numpy().mean(), dtype=x.dtype)),
          "numpy() reads"),
    Fault("shape rule", "layer", "another without data",
          lambda: layer(lambda self, x: tg.ops.mean(
              x, axis=0, keepdims=x.backend.name == "abstract")),
          "without data it is [1, 4]"),
    Fault("dtype", "layer", "casts", lambda: layer(lambda self, x: tg.ops.cast(x, dtype="float64")),
          "it returns float64"),
    Fault("reference", "layer", "of state", lambda: tg.layers.linear(3), "the reference",
          {"reference": lambda x, state: x @ state["weight"].T,
           "samples": [[np.ones((2, 4))]]}),
    Fault("gradients", "layer", "of a parameter",
          lambda: layer(lambda self, x: x * self.w.detach() * tg.ops.exp(self.w),
                        lambda self, x: self.w.initialize((), x.dtype),
                        w=lambda: tg.Parameter(tg.initializers.ones())),
          "with respect to parameter 0"),
    Fault("sizes 0 and 1", "layer", "of one",
          lambda: layer(lambda self, x: x * (1.0 / (x.shape[0] - 1))),
          "division by zero"),
    Fault("state", "layer", "forgets its buffer", lambda: ForgetsBuffers,
          "with the state of the old (empty)"),
    Fault("state", "layer", "forgets what it drew", lambda: ForgetsItsDraw,
          "with the state of the old (empty)"),
    Fault("train and eval modes", "layer", "random in eval",
          lambda: layer(lambda self, x: tg.ops.dropout(x, p=0.5)), "in eval mode under two seeds"),
    Fault("train and eval modes", "layer", "halves",
          lambda: layer(lambda self, x: x if self.training else x * 0.5), "in eval and in train"),
    Fault("train and eval modes", "layer", "the batch's mean in eval", lambda: CentresInEval,
          "the first sample alone and among others"),
    Fault("train and eval modes", "layer", "writes", lambda: WritesInEval,
          "in eval mode it writes mean"),
    Fault("run file", "layer", "takes a function", lambda: Wrapped, "TOML has no ufunc",
          register=("layers", "wrapped", None)),
    Fault("compiled", "layer", "makes a tensor",
          lambda: layer(lambda self, x: x * tg.tensor([2.0], dtype=x.dtype)),
          "while a step is being recorded"),
]  # fmt: skip
