"""TENSORGRAPH_DEBUG: kernels that write or point where they may not are caught and named."""

import re

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.errors import BackendError

pytest.importorskip("numba")
from numba import carray
from tensorgraph_numba import native
from tensorgraph_numba.plan import debug, guards
from tensorgraph_numba.plan.lower import LOWERINGS

_pointer = native._pointer


@native.Kernel  # not in native.KERNELS: no warm-up compiles it
def poke(a, like):
    """Write 0.1, no byte of which is 0, so many bytes (word 2) from where an array begins."""
    carray(_pointer(a[0] + a[2], like), (1,))[0] = like * 0 + 0.1


@native.Kernel  # not in native.KERNELS: no warm-up compiles it
def copy_first(a, like):
    """The first element of an array (words 0 and 1) to all of another (words 2 and 3)."""
    native.array(a, 2, like)[:] = native.array(a, 0, like)[0]


@pytest.fixture(autouse=True)
def debugging(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    monkeypatch.setenv(guards.VARIABLE, "1")


def pooled(monkeypatch, wrong):
    """A step with a max_pool that is computed by what ``wrong(at, call)`` returns."""
    monkeypatch.setitem(LOWERINGS, "max_pool", LOWERINGS["max_pool"]._replace(make=wrong))
    pool = tg.compile(lambda x: tg.ops.relu(tg.ops.max_pool(x + 1.0, kernel_size=2)))
    return pool(tg.tensor(np.zeros((6, 4, 8, 8), "float32"))).numpy()


def poking(which, place):
    """``wrong``: the right kernels, then a poke so many bytes from the beginning of the output or
    the input."""
    right = LOWERINGS["max_pool"].make

    def wrong(at, call):
        value = call.out if which == "output" else call.inputs[0]
        one_more = native.bind(poke, "float32", at[value], place(at[value].nbytes))
        return [*right(at, call), one_more]

    return wrong


@pytest.mark.parametrize(
    ("which", "place", "what"),
    [
        ("output", lambda size: size, "from 0 behind the end of its output float32[6,4,4,4]"),
        ("output", lambda size: size + 200, "from 200 behind the end of its output"),
        ("output", lambda size: -4, "from 4 before the beginning of its output float32[6,4,4,4]"),
        ("input", lambda size: 8, "from 6136 before the beginning of its output"),
    ],
)
def test_a_kernel_that_writes_where_it_may_not_is_named(monkeypatch, which, place, what):
    with pytest.raises(BackendError) as caught:
        pooled(monkeypatch, poking(which, place))
    text = str(caught.value)
    samples = r"( on samples \d to \d)?"
    start = rf"kernel 'poke' of task 'max_pool'{samples} wrote \d bytes {re.escape(what)}"
    assert re.match(start, text), text
    image = "input float32[6,4,8,8] with strides (1024, 4, 128, 16)"
    given = text.partition("It was given ")[2]
    assert image in given and "output float32[6,4,4,4] with strides (256, 4, 64, 16)" in given
    assert (f", in its {image}" in text) == (which == "input" or place(0) < 0)


def test_a_kernel_that_writes_between_the_elements_of_its_output(monkeypatch):
    wide = np.zeros((3, 8), "float32")
    part = wide[:, :5]
    given = [debug.Given("output", part)]
    bound = debug.Bound("a task", given)
    debug.run(native.bind(poke, "float32", part, 32 + 16), bound)
    with pytest.raises(BackendError, match="from 52 on between the elements of its output float32"):
        debug.run(native.bind(poke, "float32", part, 32 + 20), bound)


def test_a_kernel_that_writes_to_the_bands_of_an_array_of_another():
    mine, other = guards.guarded(64), guards.guarded(96)
    bound = debug.Bound("a task", [debug.Given("output", mine)])
    far = other.ctypes.data - mine.ctypes.data
    for place, what in ((-8, "8 bytes before the beginning"), (96, "4 bytes behind the end")):
        with pytest.raises(BackendError, match=f"of a task wrote up to {what} of another array"):
            debug.run(native.bind(poke, "float32", mine, far + place), bound)
    assert not list(guards.damaged()), "mended"


def test_a_kernel_that_is_bound_to_an_address_of_nobody(monkeypatch):
    stray = 0x123456789ABC

    def wrong(at, call):
        assert at[call.inputs[0]].shape == (6, 4, 8, 8)
        return [native.bind(poke, "float32", stray, 1, 0)]

    with pytest.raises(BackendError) as caught:
        pooled(monkeypatch, wrong)
    assert "is bound to the addresses 0x123456789abc, where nothing lies" in str(caught.value)
    assert "input float32[6,4,8,8]" in str(caught.value)


def test_what_nobody_wrote_is_nan(monkeypatch):
    def wrong(at, call):
        unset = at.scratch("float32")(16)
        flat = at[call.out].transpose(0, 2, 3, 1).reshape(-1, copy=False)
        return [native.bind(copy_first, "float32", unset, flat)]

    assert np.isnan(pooled(monkeypatch, wrong)).all()


def lenet(monkeypatch, threads):
    """The losses of two steps, the parameters after them and the plan."""
    monkeypatch.setattr("tensorgraph_numpy.threads.POOL.threads", threads)
    layers = tg.layers
    tg.seed(0)
    model = layers.sequential(
        layers.conv2d(6, 5, padding=2), tg.activations.relu, layers.max_pool2d(2),
        layers.conv2d(16, 5), layers.batch_norm2d(), tg.activations.tanh, layers.avg_pool2d(2),
        layers.conv2d(32, 3, padding=1), layers.conv2d(32, 3, padding=1), layers.dropout(0.3),
        layers.flatten(), layers.linear(84), tg.activations.gelu, layers.linear(10),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.standard_normal((12, 1, 28, 28)).astype("float32"))
    y = tg.tensor(rng.integers(0, 10, 12))
    model(x)
    optimizer = tg.optimizers.adam(model.parameters(), lr=1e-3, clip_norm=1.0)

    @tg.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = tg.ops.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(x, y).item() for _ in range(2)]
    return losses, [p.numpy() for p in model.parameters()], step.plan.runner


@pytest.mark.parametrize("threads", [1, 2])
def test_a_checked_step_gives_the_same_bits(monkeypatch, threads):
    losses, parameters, plan = lenet(monkeypatch, threads)
    checked = [part for part in plan.parts if isinstance(part, debug.Checked)]
    assert plan.checked and len(plan.parts) == len(plan.sections) and len(plan.parts) > len(checked)
    monkeypatch.setenv(guards.VARIABLE, "0")
    losses_without, parameters_without, plan = lenet(monkeypatch, threads)
    assert not plan.checked
    assert losses == losses_without
    for one, other in zip(parameters, parameters_without, strict=True):
        assert np.array_equal(one, other)
