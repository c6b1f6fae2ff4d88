"""Chains of elementwise ops on Numba: programs, layouts, sums, aliasing and guarded memory."""

import numpy as np
import pytest

pytest.importorskip("numba")

from numba_chains import Random, relu, run
from numba_memory import Memory
from tensorgraph_numba import native
from tensorgraph_numba.kernels import chain_plan
from tensorgraph_numba.kernels.chain import Step, Sum, chain, supports

import tensorgraph as tg

DTYPES = ("float32", "float64")
RNG = np.random.default_rng(0)


@pytest.fixture(params=DTYPES)
def memory(request):
    made = Memory(request.param)
    yield made
    made.check()


@pytest.mark.parametrize("longest", [64, 768])
@pytest.mark.parametrize("seed", range(120))
def test_random_programs(memory, monkeypatch, seed, longest):
    """Small blocks too, so that small arrays take many."""
    for name in ("NEAR", "FAR", "LEAST"):
        monkeypatch.setattr(chain_plan, name, longest)
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


@pytest.mark.parametrize("n", [5, 1000])
def test_a_chain_of_truth_values_alone(n, monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    step = tg.compile(lambda x: tg.ops.logical_not(x))
    x = np.arange(n) % 3 == 0
    for _ in range(3):
        assert np.array_equal(step(tg.tensor(x)).numpy(), ~x)
