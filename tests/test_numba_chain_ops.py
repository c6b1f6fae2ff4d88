"""The operations of chains on Numba: their values, their errors, and where they are NaN."""

import numpy as np
import pytest

pytest.importorskip("numba")

from numba_chains import EXACT, run
from numba_memory import Memory
from scipy import special
from tensorgraph_numba.kernels import chain_kernel
from tensorgraph_numba.kernels.chain import Step, Sum
from tensorgraph_numba.kernels.chain_opcodes import NUMBERS, OPERATIONS, SUMS, WORDS

DTYPES = ("float32", "float64")
RNG = np.random.default_rng(0)

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


# each operation of the machine that has several operands or adds up: how a chain comes to it
JOINED = {
    "add": lambda s, x, y: s("add", x, y),
    "subtract": lambda s, x, y: s("subtract", x, y),
    "multiply": lambda s, x, y: s("multiply", x, y),
    "divide": lambda s, x, y: s("divide", x, y),
    "maximum": lambda s, x, y: s("maximum", x, y),
    "minimum": lambda s, x, y: s("minimum", x, y),
    "equal": lambda s, x, y: s("equal", x, y),
    "not_equal": lambda s, x, y: s("not_equal", x, y),
    "greater": lambda s, x, y: s("greater", x, y),
    "greater_equal": lambda s, x, y: s("greater_equal", x, y),
    "where": lambda s, x, y, z: s("where", x, y, z),
    "square": lambda s, x: s("multiply", x, x),
    "add_add": lambda s, x, y, z: s("add", s("add", x, y), z),
    "add_multiply": lambda s, x, y, z: s("multiply", s("add", x, y), z),
    "subtract_multiply": lambda s, x, y, z: s("multiply", s("subtract", x, y), z),
    "multiply_multiply": lambda s, x, y, z: s("multiply", s("multiply", x, y), z),
    "multiply_add": lambda s, x, y, z: s("add", s("multiply", x, y), z),
    "multiply_subtract": lambda s, x, y, z: s("subtract", s("multiply", x, y), z),
    "subtract_product": lambda s, x, y, z: s("subtract", z, s("multiply", x, y)),
    "subtract_multiply_add": lambda s, x, y, z, w: s(
        "add", s("multiply", s("subtract", x, y), z), w
    ),
    "approach": lambda s, x, y, z: s("add", s("multiply", s("subtract", x, y), z), y),
    "add_products": lambda s, x, y, z, w: s("add", s("multiply", z, w), s("multiply", x, y)),
    "add_product": lambda s, x, y, z, w, u: s(
        "add", s("multiply", w, u), s("multiply", s("multiply", x, y), z)
    ),
    "add_square": lambda s, x, y, z, w: s(
        "add", s("multiply", z, w), s("multiply", s("multiply", x, x), y)
    ),
    "sqrt_add": lambda s, x, y: s("add", s("sqrt", x), y),
    "sqrt_multiply_add": lambda s, x, y, z: s("add", s("multiply", s("sqrt", x), y), z),
    "subtract_quotient": lambda s, x, y, z, w: s(
        "subtract", w, s("multiply", s("divide", x, y), z)
    ),
    "greater_multiply": lambda s, x, y, z: s("multiply", s("greater", x, y), z),
    "greater_where": lambda s, x, y, z, w: s("where", s("greater", x, y), z, w),
    "add_maximum": lambda s, x, y, z: s("maximum", s("add", x, y), z),
    "multiply_add_maximum": lambda s, x, y, z, w: s("maximum", s("add", s("multiply", x, y), z), w),
    "subtract_multiply_add_maximum": lambda s, x, y, z, w, u: s(
        "maximum", s("add", s("multiply", s("subtract", x, y), z), w), u
    ),
    "maximum_minimum": lambda s, x, y, z: s("minimum", s("maximum", x, y), z),
    "sum": lambda s, x: s("abs", x),
    "sum_product": lambda s, x, y: s("multiply", x, y),
    "sum_square": lambda s, x: s("multiply", x, x),
    "sum_subtract_multiply": lambda s, x, y, z: s("multiply", s("subtract", x, y), z),
}


def test_each_operation_is_tested():
    several = {name for name, operation in OPERATIONS.items() if operation.operands > 1}
    assert several - {"pow"} <= set(JOINED)
    single = set(OPERATIONS) - several - set(JOINED) - {"copy", "load", "store"}
    assert single <= {*FUNCTIONS, *EXACT}


@pytest.mark.parametrize("name, still", [key for key in NUMBERS if key[0] in JOINED])
def test_operations(memory, name, still):
    """Each comes from the steps that it stands for, and is what they are."""
    count = 1500
    inputs = [
        float(RNG.integers(1, 5)) if k in still else memory.array(RNG.integers(-4, 5, count) ** 2)
        for k in range(OPERATIONS[name].operands)
    ]
    steps, values = [], [np.asarray(x, float) for x in inputs]

    def emit(op, *operands):
        steps.append(Step(op, operands))
        given = [values[k] for k in operands]
        values.append(
            np.asarray((EXACT | {"divide": np.divide, "sqrt": np.sqrt})[op](*given), float)
        )
        return len(values) - 1

    with np.errstate(all="ignore"):
        last = JOINED[name](emit, *range(len(inputs)))
        if name in SUMS:
            total = np.zeros((), memory.dtype)
            calls = run(memory, inputs, steps, [], [Sum(last, total)])
            np.testing.assert_array_equal(total, values[last].sum())
        else:
            out = memory.array(np.zeros(count))
            calls = run(memory, inputs, steps, [(last, out)])
            np.testing.assert_allclose(out, values[last], 3e-7, 3e-6)
    begin, length = calls[0].words[chain_kernel.BODY : chain_kernel.BODY + 2]
    program = calls[0].words[begin : begin + WORDS * length : WORDS]
    assert program.tolist() == [NUMBERS[name, still]] or name == "sum"
