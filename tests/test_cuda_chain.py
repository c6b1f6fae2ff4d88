"""Chains of elementwise ops as generated CUDA: run on the emulated device, compiled by NVRTC."""

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.kernels import elementwise as launching
from tensorgraph_cupy.kernels.chain import Chain, Operand, Step
from tensorgraph_cupy.kernels.elementwise import elementwise, elementwise_source
from tensorgraph_cupy.kernels.spelling import SPELLINGS
from test_cuda_sources import check, compiled, nvrtc

import tensorgraph as tg
from tensorgraph.errors import DtypeError
from tensorgraph.op import Op

emulated = pytest.mark.skipif(not available(), reason="g++ is not installed")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
RANDOM = np.random.default_rng(0)


def numpys(dtype):
    return BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)


def run(device, chain, sizes, *inputs, skipped=0):
    """What the chain stores. ``skipped`` elements lie before each input: an odd address."""
    held = [device.put(np.concatenate([np.zeros(skipped, x.dtype), x.ravel()])) for x in inputs]
    given = [memory.address + skipped * x.itemsize for memory, x in zip(held, inputs)]
    dtypes = [numpys(dtype) for _, dtype in chain.outputs]
    out = [device.allocate(int(np.prod(sizes)) * dtype.itemsize) for dtype in dtypes]
    elementwise(device, chain, sizes, given, [memory.address for memory in out])
    return [device.get(memory, sizes, dtype) for memory, dtype in zip(out, dtypes)]


HOSTILE = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, 3e38, 1e-30, -7.25, 0.99]
NUMBERS = {
    "float32": [*HOSTILE, *RANDOM.standard_normal(18)],
    "float64": HOSTILE,
    "int32": [-7, 0, 1, 3, 2**31 - 1],
    "int64": [-7, 0, 1, 3, 2**62],
    "uint8": [0, 1, 3, 200, 255],
    "bool": [False, True],
}
BY_FORMULA = ("standardize", "standardize_input", "cast", "unit_interval")  # have their own tests


def steps_on(dtype):
    """All ops of the table on x, y and a condition, as far as they take this dtype."""
    condition = tg.tensor(np.zeros(1, bool))
    x = tg.tensor(np.zeros(1, dtype))
    for name in SPELLINGS:
        if name in BY_FORMULA:
            continue
        op = getattr(tg.ops, name)
        params = {"min": 0, "max": 2} if name == "clip" else {}
        places = (2, 0, 1) if name == "where" else (0, 1)[: len(op.inputs)]
        try:
            spec = op.shape_rule(*[condition if i == 2 else x for i in places], **params)
        except DtypeError:
            continue
        yield name, places, spec.dtype, params


@emulated
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", NUMBERS)
def test_each_op_has_numpys_values(dtype):
    """Every pair of hostile numbers, in one kernel that stores the result of every op."""
    x, y = (a.ravel() for a in np.meshgrid(*[np.array(NUMBERS[dtype], dtype)] * 2))
    given = [x, y, x != y]
    found_steps = list(steps_on(dtype))
    steps = tuple(Step(name, at, kind, tuple(p.items())) for name, at, kind, p in found_steps)
    outputs = tuple((3 + i, kind) for i, (_, _, kind, _) in enumerate(found_steps))
    operands = tuple(Operand(str(a.dtype), (True,)) for a in given)
    values = run(EmulatedDevice(), Chain(operands, steps, outputs), (x.size,), *given)
    assert len(values) > (30 if dtype.startswith("float") else 8)
    for value, (name, places, _, params) in zip(values, found_steps):
        want = getattr(tg.ops, name)(*[tg.tensor(given[i]) for i in places], **params).numpy()
        rtol = {"float32": 2e-6, "float64": 1e-13}.get(str(want.dtype), 0)
        np.testing.assert_allclose(value, want, rtol, 1e-37 if rtol else 0, err_msg=name)


@emulated
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_casts():
    given = [np.float32([0, 1, 2.75, 100.5]), np.array([0, 5, -3, 7]), np.array([1, 0, 1, 0], bool)]
    wanted = ("bool", "int32", "int64", "float32", "float64", "uint8")
    pairs = [(i, dtype) for i in range(3) for dtype in wanted]
    steps = tuple(Step("cast", (i,), dtype, (("dtype", dtype),)) for i, dtype in pairs)
    operands = tuple(Operand(str(x.dtype), (True,)) for x in given)
    outputs = tuple((3 + i, dtype) for i, (_, dtype) in enumerate(pairs))
    for (i, dtype), value in zip(
        pairs, run(EmulatedDevice(), Chain(operands, steps, outputs), (4,), *given)
    ):
        if dtype != "uint8" or (given[i] >= 0).all():
            np.testing.assert_array_equal(value, given[i].astype(dtype), err_msg=f"{i} {dtype}")


@emulated
def test_words_as_numbers():
    words = np.uint32([0, 255, 256, 2**31, 2**32 - 1])
    step = Step("unit_interval", (0,), "float32", (("dtype", "float32"),))
    chain = Chain((Operand("uint32", (True,)),), (step,), ((1, "float32"),))
    want = tg.ops.unit_interval(tg.tensor(words), dtype="float32").numpy()
    np.testing.assert_array_equal(run(EmulatedDevice(), chain, (5,), words)[0], want)


def test_every_elementwise_op_is_spelled():
    """The elementwise ops are those that are declared by unary() and binary()."""
    ops = [getattr(tg.ops, name) for name in dir(tg.ops)]
    rules = {op.name: op.shape_rule.__qualname__ for op in ops if isinstance(op, Op)}
    names = {name for name, rule in rules.items() if rule.startswith(("unary.", "binary."))}
    assert len(names) > 40
    assert names <= set(SPELLINGS)


def batch_norm_chain(storage):
    """Standardised by channel, another tensor added, cut off at 0: what a residual network does."""
    of_channel = Operand("float32", (False, True))
    rows = Operand(storage, (True, True))
    inputs = (rows, of_channel, of_channel, of_channel, of_channel, rows)
    steps = (
        Step("standardize", (0, 1, 2, 3, 4), "float32"),
        Step("add", (6, 5), "float32"),
        Step("relu", (7,), "float32"),
    )
    return Chain(inputs, steps, ((8, storage),))


@emulated
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize(("rows", "channels"), [(1, 1), (7, 8), (50, 3), (130, 64), (0, 4)])
def test_broadcasting_over_channels(rows, channels, storage):
    dtype = numpys(storage)
    x, more = RANDOM.standard_normal((2, rows, channels)).astype(np.float32).astype(dtype)
    average, inverse, weight, bias = RANDOM.standard_normal((4, channels)).astype(np.float32)
    want = (x.astype(np.float32) - average) * (inverse * weight) + bias + more.astype(np.float32)
    for skipped in (0, 1):
        arrays = (x, average, inverse, weight, bias, more)
        chain = batch_norm_chain(storage)
        [found] = run(EmulatedDevice(), chain, (rows, channels), *arrays, skipped=skipped)
        tolerance = 1e-5 if storage == "float32" else 2**-8
        want = np.maximum(want, 0)
        np.testing.assert_allclose(found.astype(np.float32), want, tolerance, 1e-6)


@emulated
@pytest.mark.parametrize("wide", [False, True], ids=["32 bits", "64 bits"])
def test_operands_that_move_along_some_axes(wide, monkeypatch):
    """Every choice of three axes, and a constant; a result in several dtypes."""
    monkeypatch.setattr(launching, "WIDE", 0 if wide else launching.WIDE)
    sizes = (3, 5, 8)
    moves = [(bool(i & 4), bool(i & 2), bool(i & 1)) for i in range(8)]
    arrays = [
        RANDOM.standard_normal([n for n, m in zip(sizes, move) if m]).astype(np.float32)
        for move in moves
    ]
    steps = [Step("constant", (), "float32", (("value", 0.1),))]
    for i in range(8):
        steps.append(Step("add", (i, 7 + len(steps)), "float32"))
    steps.append(Step("greater", (16, 8), "bool"))
    chain = Chain(
        tuple(Operand("float32", move) for move in moves),
        tuple(steps),
        ((16, "float32"), (16, "bfloat16"), (17, "bool")),
    )
    found = run(EmulatedDevice(), chain, sizes, *map(np.asarray, arrays))
    want = np.float32(0.1)
    for move, x in zip(moves, arrays):
        want = want + np.reshape(x, [n if m else 1 for n, m in zip(sizes, move)])
    np.testing.assert_allclose(found[0], want, 1e-5, 1e-6)
    np.testing.assert_array_equal(found[1], found[0].astype(BFLOAT16))
    np.testing.assert_array_equal(found[2], found[0] > np.float32(0.1))


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_a_thread_moves_16_bytes_at_a_time(storage):
    chain = batch_norm_chain(storage)
    program = compiled(elementwise_source(chain, chain.width(), "int"), "chain.cu", "compute_90")
    text = str(nvrtc().getPTX(program))
    kind = "f32" if storage == "float32" else "u32"
    assert chain.width() == (4 if storage == "float32" else 8)
    assert f"ld.global.v4.{kind}" in text
    assert f"st.global.v4.{kind}" in text


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_generated_sources_compile_without_spills(architecture):
    for storage in ("float32", "bfloat16"):
        chain = batch_norm_chain(storage)
        check(elementwise_source(chain, chain.width(), "int"), "chain.cu", architecture)
    check(elementwise_source(batch_norm_chain("float32"), 1, "int64"), "chain.cu", architecture)
    steps = tuple(
        Step(name, at, kind, tuple(p.items())) for name, at, kind, p in steps_on("float32")
    )
    operands = tuple(Operand(dtype, (True,)) for dtype in ("float32", "float32", "bool"))
    for i, step in enumerate(steps):  # one by one is slow: in turns of eight
        if i % 8 == 0:
            eight = tuple(steps[i : i + 8])
            outputs = tuple((3 + k, part.dtype) for k, part in enumerate(eight))
            text = elementwise_source(Chain(operands, eight, outputs), 4, "int")
            check(text, f"{step.op}.cu", architecture)
