"""Chains of elementwise ops on Numba: values, layouts, sums, aliasing, memory that is not theirs.

The oracle is NumPy in float64, one op after the other. Programs of whole numbers are computed
without rounding on both sides, so that random ones must agree in every element.
"""

import numpy as np
import pytest

pytest.importorskip("numba")

from numba_memory import Memory
from scipy import special
from tensorgraph_numba import native
from tensorgraph_numba.kernels import chain_plan
from tensorgraph_numba.kernels.chain import Step, Sum, chain, supports

DTYPES = ("float32", "float64")
RNG = np.random.default_rng(0)


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

# name: the function, where it is tried, the largest error in units of the last place in float32
FUNCTIONS = {
    "exp": (np.exp, ((-104, 89), (-1e-3, 1e-3), (-3, 3)), 1.5),
    "expm1": (np.expm1, ((-40, 89), (-1e-3, 1e-3), (-1, 1)), 1.5),
    "log": (np.log, ((1e-40, 1e-37), (1e-3, 1e3), (0.9, 1.1)), 1.2),
    "log1p": (np.log1p, ((-0.999, 1), (-1e-3, 1e-3), (0, 1e9)), 1.6),
    "tanh": (np.tanh, ((-12, 12), (-1e-3, 1e-3), (-1, 1)), 2.5),
    "sigmoid": (special.expit, ((-110, 110), (-5, 5)), 2.5),
    "erf": (special.erf, ((-5, 5), (-1e-3, 1e-3), (0.7, 1.2)), 1.5),
    "sqrt": (np.sqrt, ((0, 10),), 0.51),
    "rsqrt": (lambda x: 1 / np.sqrt(x), ((1e-3, 10),), 2.0),
    "reciprocal": (np.reciprocal, ((-10, -0.1),), 0.51),
    "sin": (np.sin, ((-1e4, 1e4),), 1.0),
    "cos": (np.cos, ((-1e4, 1e4),), 1.0),
    "tan": (np.tan, ((-1.5, 1.5),), 1.5),
    "asin": (np.arcsin, ((-1, 1),), 1.5),
    "acos": (np.arccos, ((-1, 1),), 1.5),
    "atan": (np.arctan, ((-50, 50),), 1.5),
    "sinh": (np.sinh, ((-20, 20),), 2.5),
    "cosh": (np.cosh, ((-20, 20),), 2.5),
}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, 3e38, -3e38, -1.0, 1.0, 1e-30, 1e-45]


@pytest.fixture(params=DTYPES)
def memory(request):
    made = Memory(request.param)
    yield made
    made.check()


def run(memory, inputs, steps, outputs, sums=()):
    calls = chain(inputs, steps, outputs, sums, scratch=memory.scratch)
    native.run(calls)
    return calls


def units(found, wanted, dtype):
    """Errors in units of the last place."""
    size = np.abs(wanted).astype(dtype)
    return np.abs(found.astype(np.float64) - wanted) / np.spacing(size).astype(np.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(memory, name):
    function, ranges, allowed = FUNCTIONS[name]
    for low, high in ranges:
        x = memory.array(np.linspace(low, high, 50_001))
        out = memory.array(np.zeros(x.shape))
        run(memory, [x], [Step(name, (0,))], [(1, out)])
        with np.errstate(all="ignore"):
            wanted = function(x.astype(np.float64))
            finite = np.isfinite(wanted.astype(memory.dtype))
            assert units(out, wanted, memory.dtype)[finite].max() <= max(allowed, 6.0)
            np.testing.assert_array_equal(out[~finite], wanted[~finite].astype(memory.dtype))
            if memory.dtype == "float32":
                assert units(out, wanted, memory.dtype)[finite].max() <= allowed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_special_numbers(memory, name):
    x = memory.array(SPECIAL)
    out = memory.array(np.zeros(x.shape))
    run(memory, [x], [Step(name, (0,))], [(1, out)])
    with np.errstate(all="ignore"):
        wanted = FUNCTIONS[name][0](x)
    np.testing.assert_allclose(out, wanted, 3e-7, 1.5e-45)


def test_pow(memory):
    x = memory.array(RNG.uniform(0.1, 3, 100))
    y = memory.array(RNG.uniform(-3, 3, 100))
    exponents = (0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 2.5)
    outs = [memory.array(np.zeros(100)) for _ in range(len(exponents) + 1)]
    steps = [Step("pow", (0, 1 + k)) for k in range(len(outs))]
    first = 2 + len(exponents)
    run(memory, [x, y, *exponents], steps, [(first + k, out) for k, out in enumerate(outs)])
    with np.errstate(all="ignore"):
        for out, exponent in zip(outs, [y.astype(float), *exponents]):
            np.testing.assert_allclose(out, x.astype(float) ** exponent, 5e-7)


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


@pytest.mark.parametrize("longest", [64, 1024])
@pytest.mark.parametrize("seed", range(120))
def test_random_programs(memory, monkeypatch, seed, longest):
    """Small blocks too, so that small arrays take many."""
    monkeypatch.setattr(chain_plan, "LONGEST_BLOCK", longest)
    program = Random(seed, memory)
    outputs = program.outputs()
    sums = program.sums(0 if outputs else 1)
    before = [s.target.copy() for s in sums]
    calls = run(memory, program.inputs, program.steps, outputs, sums)
    for _ in range(2):
        for k, out in outputs:
            wanted = np.broadcast_to(program.values[k], program.shape)
            np.testing.assert_array_equal(out, wanted.astype(out.dtype))
        with np.errstate(all="ignore"):
            for s, start in zip(sums, before):
                np.testing.assert_array_equal(s.target, program.summed(s, start))
                s.target[...] = start
        native.run(calls)


@pytest.mark.parametrize("seed", range(60))
def test_outputs_over_inputs(memory, seed):
    """Outputs that are inputs, whatever is read of these later in the program."""
    program = Random(seed, memory)
    full = [x for x in program.inputs if np.shape(x) == program.shape and np.ndim(x)]
    program.rng.shuffle(full)
    outputs = []
    for x in full:
        among = [k for k, v in enumerate(program.values) if x.dtype != bool or v.dtype == bool]
        outputs.append((int(program.rng.choice(among)), x))
    sums = program.sums(1)
    before = [s.target.copy() for s in sums]
    run(memory, program.inputs, program.steps, outputs, sums)
    for k, out in outputs:
        wanted = np.broadcast_to(program.values[k], program.shape)
        np.testing.assert_array_equal(out, wanted.astype(out.dtype))
    for s, start in zip(sums, before):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(s.target, program.summed(s, start))


@pytest.mark.parametrize("channels", [1, 3, 6, 17, 32, 33, 100, 512, 1500])
@pytest.mark.parametrize("gap", [0, 7])
def test_sums_over_images(memory, channels, gap):
    """Per channel and in all, in one pass, of many more elements than a block has."""
    x = RNG.normal(1, 3, (3, channels, 20, 25))
    scale = memory.array(RNG.normal(0, 1, (channels, 1, 1)))
    laid = memory.images(x, gap)
    out = memory.images(np.zeros(x.shape), gap)
    of_channels, of_squares = (memory.array(np.ones((1, channels, 1, 1))) for _ in range(2))
    whole, most = np.zeros((), memory.dtype), memory.array(np.zeros((1, channels, 1, 1)))
    steps = [Step("multiply", (0, 1)), Step("relu", (2,)), Step("square", (3,))]
    sums = [
        Sum(3, of_channels), Sum(4, of_squares, accumulate=True), Sum(3, whole),
        Sum(2, most, "max"),
    ]  # fmt: skip
    run(memory, [laid, scale], steps, [(3, out)], sums)
    product = laid.astype(np.longdouble) * scale
    wanted = relu(product)
    error = 20 * np.finfo(memory.dtype).eps
    np.testing.assert_allclose(out, wanted, error, error)
    np.testing.assert_allclose(of_channels, wanted.sum((0, 2, 3), keepdims=True), error)
    squares = (wanted * wanted).sum((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(of_squares, squares + 1, error)
    np.testing.assert_allclose(whole, wanted.sum(), error)
    np.testing.assert_allclose(most, product.max((0, 2, 3), keepdims=True), error)


def test_a_long_sum_is_exact_to_some_units():
    """Each number of the same sign, so that errors of a plain float32 sum would add up to 1e-4."""
    memory = Memory("float32")
    x = memory.array(RNG.uniform(0.5, 1.5, 3_000_001))
    whole = np.zeros((), np.float32)
    run(memory, [x], [], [], [Sum(0, whole)])
    np.testing.assert_allclose(whole, x.sum(dtype=float), 3e-7)


def adam(p, g, m, v, size, root):
    """An update of Adam with the default parameters."""
    m = m + (g - m) * 0.1
    v = v * 0.999 + g * g * 0.001
    return p - m / (np.sqrt(v) / root + 1e-8) * size, m, v


ADAM = [  # p, g, m, v, size, root, then constants from 6 on
    ("subtract", (1, 2)), ("multiply", (10, 6)), ("add", (2, 11)), ("multiply", (3, 7)),
    ("multiply", (1, 1)), ("multiply", (14, 8)), ("add", (13, 15)), ("sqrt", (16,)),
    ("divide", (17, 5)), ("add", (18, 9)), ("divide", (12, 19)), ("multiply", (20, 4)),
    ("subtract", (0, 21)),
]  # fmt: skip


@pytest.mark.parametrize("shape", [(1,), (10,), (37, 41), (64, 32, 3, 3)])
def test_an_optimizers_update(memory, shape):
    """In place, with scalars that are read when it runs: twice, and they change between."""
    p, g, m, v = (memory.array(RNG.normal(0, 1, shape)) for _ in range(4))
    v[...] = np.abs(v)
    size, root = np.array(0.01, memory.dtype), np.array(0.5, memory.dtype)
    wanted = [x.astype(float) for x in (p, m, v)]
    steps = [Step(*step) for step in ADAM]
    inputs = [p, g, m, v, size, root, 0.1, 0.999, 0.001, 1e-8]
    calls = chain(inputs, steps, [(12, m), (16, v), (22, p)], scratch=memory.scratch)
    for _ in range(2):
        native.run(calls)
        wanted = adam(wanted[0], g.astype(float), *wanted[1:], float(size), float(root))
        for found, x in zip((p, m, v), wanted):
            np.testing.assert_allclose(found, x, 2e-6, 2e-6)
        size[...], root[...] = 0.02, 0.7


def test_long_rows_repeat(memory):
    """A row that is not written out: the space is gone through row by row."""
    x, row = memory.array(RNG.integers(-9, 9, (5, 3001))), memory.array(RNG.integers(-9, 9, 3001))
    column, out = memory.array(RNG.integers(-9, 9, (5, 1))), memory.array(np.zeros((5, 3001)))
    ends = memory.array(np.zeros((5, 1)))
    steps = [Step("add", (0, 1)), Step("multiply", (3, 2))]
    run(
        memory,
        [x, row, column],
        steps,
        [(4, out)],
        [
            Sum(4, ends),
        ],
    )
    np.testing.assert_array_equal(out, (x + row) * column)
    np.testing.assert_array_equal(ends, ((x + row) * column).sum(1, keepdims=True))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4, 2, 2)])
def test_nothing(memory, shape):
    x = np.zeros(shape, memory.dtype)
    totals = memory.array(np.full((1,) * len(shape), 5.0))
    run(memory, [x, 2.0], [Step("multiply", (0, 1))], [(2, x.copy())], [Sum(2, totals)])
    np.testing.assert_array_equal(totals, 0)


def test_what_is_refused():
    x = np.ones((4, 6), np.float32)
    wide = np.ones((4, 7), np.float32)
    twice = np.lib.stride_tricks.as_strided(x, (4, 5), (4, 4))
    half = np.ones((4, 6), np.float16)
    flags = x > 0
    total = np.zeros((), np.float32)
    one = Step("exp", (0,))
    refused = [
        ("takes one of float32 and float64", [x, x.astype(float)], [], [(0, x)], []),
        ("not \\['float16'\\]", [half], [one], [(1, half)], []),
        ("has no op 'exp' of 2 operands", [x], [Step("exp", (0, 0))], [(1, x.copy())], []),
        ("has no op 'multiply_add' of 3", [x], [Step("multiply_add", (0, 0, 0))], [], []),
        ("casts from bool only", [x], [Step("cast", (0,))], [(1, x.copy())], []),
        ("writes only bool to an array of bool", [x], [one], [(1, flags)], []),
        ("cannot write an array of", [x], [one], [(1, x[:1].copy())], []),
        ("elements share places", [x[:, :5].copy()], [one], [(1, twice)], []),
        ("no array with the strides", [x[::-1]], [one], [(1, x.copy())], []),
        ("shares memory", [x[:, :5]], [one], [(1, x[:, 1:])], []),
        ("shares memory", [x, 1.0], [one], [(2, wide[:, 1:]), (0, wide[:, :6])], []),
        ("sum to an array .* shares memory", [x], [one], [], [Sum(1, x[:1])]),
        ("sums and maxima of it", [x], [one], [], [Sum(1, total, "mean")]),
        ("takes one of float32 and float64", [x], [one], [], [Sum(1, np.zeros(()))]),
        ("no use for an array", [x], [one], [], [Sum(1, wide[:1])]),
        ("needs an array", [1.0], [one], [], []),
    ]
    for message, *chained in refused:
        with pytest.raises(ValueError, match=message):
            chain(*chained, scratch=Memory("float32").scratch)
        assert not supports(*chained)
    with pytest.raises(ValueError, match="broadcast"):
        chain([x, wide], [Step("add", (0, 1))], [(2, x.copy())], scratch=Memory("float32").scratch)
    assert supports([x, 1.0], [Step("add", (0, 1))], [(2, x)], [Sum(2, total)])
