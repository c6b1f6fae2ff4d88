"""Programs for tests of chains: ops with their oracles, and random programs of whole numbers.

The oracle is NumPy in float64, one op after the other. Whole numbers are computed without rounding
on both sides, so that results must agree in every element.
"""

import numpy as np
from tensorgraph_numba import native
from tensorgraph_numba.kernels.chain import Step, Sum, chain


def run(memory, inputs, steps, outputs, sums=()):
    calls = chain(inputs, steps, outputs, sums, scratch=memory.scratch)
    native.run(calls)
    return calls


def relu(x):
    return np.maximum(x, 0)


EXACT = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "negative": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "square": np.square,
    "relu": relu,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "where": lambda c, x, y: np.where(c != 0, x, y),
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "isfinite": np.isfinite,
    "isinf": np.isinf,
    "isnan": np.isnan,
}
LOGICAL = {
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "logical_not": np.logical_not,
    "cast": lambda x: x,
}
OPERANDS = dict.fromkeys((*EXACT, *LOGICAL), 1) | dict.fromkeys(
    ("add", "subtract", "multiply", "maximum", "minimum", "equal", "not_equal", "less",
     "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor"), 2,
) | {"clip": 3, "where": 3}  # fmt: skip

SHAPES = (
    (), (1,), (7,), (33,), (1000,), (5000,), (1, 1), (3, 5), (70, 10), (64, 33), (2, 2000),
    (1, 3, 1, 1), (2, 3, 7, 5), (3, 17, 9, 9), (2, 32, 8, 8), (4, 512, 2, 2), (2, 6, 14, 14),
    (2, 3, 4, 5, 6),
)  # fmt: skip


class Random:
    """A random program of whole numbers over arrays that lie in memory in random ways."""

    def __init__(self, seed, memory):
        self.rng, self.memory = np.random.default_rng(seed), memory
        self.shape = SHAPES[self.rng.integers(len(SHAPES))]
        self.inputs, self.values, self.steps = [], [], []
        for _ in range(self.rng.integers(1, 5)):
            self.inputs.append(self.input())
            x = self.inputs[-1]
            self.values.append(np.asarray(x).astype(float if np.asarray(x).dtype != bool else bool))
        whole = np.broadcast_shapes(*(v.shape for v in self.values))
        if whole != self.shape:
            self.inputs.append(self.laid(self.numbers(self.shape)))
            self.values.append(self.inputs[-1].astype(float))
        while len(self.steps) < self.rng.integers(1, 12):
            self.step()

    def numbers(self, shape):
        """Whole numbers, sometimes with NaN and infinities among them."""
        x = self.rng.integers(-4, 5, shape).astype(float)
        if self.rng.random() < 0.2 and x.size:
            x.flat[self.rng.integers(x.size)] = self.rng.choice([np.nan, np.inf, -np.inf])
        return x

    def laid(self, values):
        """An array of these values somewhere in memory."""
        dtype = bool if values.dtype == bool else None
        if values.ndim == 0:
            return np.array(values, dtype or self.memory.dtype)
        order = list(range(values.ndim))
        kind = self.rng.random()
        if kind < 0.5 and values.ndim > 2:
            order = [0, *order[2:], 1]
        elif kind > 0.85:
            self.rng.shuffle(order)
        gap = int(self.rng.choice([0, 0, 0, 5, 64]))
        return self.memory.array(values, order, gap, dtype)

    def input(self):
        if self.rng.random() < 0.15:
            return float(self.rng.integers(-3, 4))
        shape = self.shape
        if self.rng.random() < 0.6:
            keep = self.rng.random(len(shape)) < 0.5
            shape = tuple(n if k else 1 for n, k in zip(shape, keep))
            shape = shape[self.rng.integers(len(shape) + 1) :] if self.rng.random() < 0.3 else shape
        if self.rng.random() < 0.2:
            return self.laid(self.rng.random(shape) < 0.5)
        return self.laid(self.numbers(shape))

    def step(self):
        boolean = [k for k, v in enumerate(self.values) if v.dtype == bool]
        table = LOGICAL if boolean and self.rng.random() < 0.3 else EXACT
        name = str(self.rng.choice(list(table)))
        among = boolean if table is LOGICAL else range(len(self.values))
        operands = tuple(int(k) for k in self.rng.choice(among, OPERANDS[name]))
        values = [self.values[k] for k in operands]
        if table is EXACT:
            values = [v.astype(float) for v in values]
        with np.errstate(all="ignore"):
            value = np.asarray(table[name](*values))
            if np.any(np.abs(value[np.isfinite(value)]) > 2**16):
                return
        self.steps.append(Step(name, operands))
        self.values.append(value)

    def outputs(self):
        found = []
        for k in self.rng.choice(len(self.values), self.rng.integers(0, 4)):
            value = np.broadcast_to(self.values[k], self.shape)
            as_bytes = value.dtype == bool and self.rng.random() < 0.5
            found.append((int(k), self.laid(np.zeros(self.shape, bool if as_bytes else float))))
        return found

    def sums(self, least):
        found = []
        for k in self.rng.choice(len(self.values), self.rng.integers(least, 4)):
            keep = self.rng.random(len(self.shape)) < 0.5
            if self.rng.random() < 0.4 and len(self.shape) > 1:
                keep = np.arange(len(self.shape)) == 1  # channels
            shape = tuple(n if kept else 1 for n, kept in zip(self.shape, keep))
            target = self.laid(self.rng.integers(-5, 6, shape).astype(float))
            kind = "max" if self.rng.random() < 0.3 else "sum"
            found.append(Sum(int(k), target, kind, bool(self.rng.random() < 0.3)))
        return found

    def summed(self, wanted, before):
        """What a sum must be."""
        value = np.broadcast_to(self.values[wanted.value], self.shape).astype(float)
        axes = tuple(k for k, n in enumerate(wanted.target.shape) if n == 1)
        reduced = (np.max if wanted.kind == "max" else np.sum)(value, axes, keepdims=True)
        if not wanted.accumulate:
            return reduced
        return np.maximum(before, reduced) if wanted.kind == "max" else before + reduced
