"""Optimizers with one fault each."""

import numpy as np

import tensorgraph as tg
from planted.fault import Fault


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


class Noisy(Optimizer):
    def update(self, p, g, memory, scalars):
        return p - g * scalars["lr"] * float(np.random.default_rng().random()), {}


class Reads(Optimizer):
    def update(self, p, g, memory, scalars):
        size = 1.0 if float(tg.ops.sum(g * g)) < 1e9 else 0.5
        return p - g * scalars["lr"] * size, {}


class Uncorrected(Optimizer):
    """Adam whose means are not freed of their start at zero."""

    slots = ("m", "v")

    def update(self, p, g, memory, scalars):
        m = memory["m"] * 0.9 + g * 0.1
        v = memory["v"] * 0.999 + g * g * 0.001
        return p - m / (tg.ops.sqrt(v) + 1e-8) * scalars["lr"], {"m": m, "v": v}


class OfOne(Optimizer):
    """Scales by the spread of the gradient, of which one number has none."""

    def update(self, p, g, memory, scalars):
        return p - g / (tg.ops.std(g) * 100.0), {}


class StartsAgain(Optimizer):
    """Takes smaller steps with time, and forgets the time when its state is loaded."""

    def scalars(self, step):
        return {"lr": self.lr / step}

    def load_state(self, state):
        super().load_state(state)
        self.updates = [0] * len(self.updates)


class CountsInPython(Optimizer):
    """Takes smaller steps with time, by a number that a recording takes for a constant."""

    def update(self, p, g, memory, scalars):
        return p - g * scalars["lr"] * (1.0 / (1 + self.steps)), {}


class Picks(Optimizer):
    """Takes a function as an option."""

    samples = ({"inputs": [np.ones((2, 3))], "options": {"schedule": np.tanh}},)

    def __init__(self, parameters, schedule, lr=1e-2):
        super().__init__(parameters, lr=lr)


# Kingma and Ba (2015), algorithm 1: with one gradient g the first step is lr in size; with g again
# the corrected means are g and g² again, and so is the step
ADAM = {
    "options": {"lr": 0.1},
    "parameter": [1.0, -2.0],
    "gradients": [[0.5, -4.0], [0.5, -4.0]],
    "expected": [[0.9 + 2e-9, -1.9 - 2.5e-10], [0.8 + 4e-9, -1.8 - 5e-10]],
}

OPTIMIZER_FAULTS = [
    Fault("determinism", "optimizer", "draws with NumPy", lambda: Noisy, "twice after tg.seed"),
    Fault("host reads", "optimizer", "float", lambda: Reads, "item() reads the value"),
    Fault("descent", "optimizer", "uphill", lambda: Ascends, "the first step goes uphill"),
    Fault("descent", "optimizer", "too far", lambda: TooFar, "after 100 steps"),
    Fault("worked example", "optimizer", "bias correction", lambda: Uncorrected,
          "after step 1 of the worked example", {"worked_example": ADAM}),
    Fault("sizes 0 and 1", "optimizer", "of one number", lambda: OfOne, "is NaN or infinite"),
    Fault("state", "optimizer", "forgets the time", lambda: StartsAgain,
          "4 steps after its state was loaded"),
    Fault("run file", "optimizer", "takes a function", lambda: Picks, "TOML has no ufunc",
          register=("optimizers", "picks", None)),
    Fault("compiled", "optimizer", "counts in Python", lambda: CountsInPython,
          "of the compiled step and of the plain one"),
]  # fmt: skip
