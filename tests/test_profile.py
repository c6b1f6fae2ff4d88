"""Profiles of plans: what each task costs, and that profiling leaves no trace."""

import time

import numpy as np
import pytest
from tensorgraph_walks.profile import OUTSIDE, bytes_of
from test_draw import network, trained

import tensorgraph as tg
from tensorgraph import config
from tensorgraph.errors import ConfigError, RecordingError


@pytest.fixture(scope="module")
def steps():
    """A step of each compiler, and what it belongs to."""
    return {}


@pytest.fixture
def made(compiler, steps):
    if compiler not in steps:
        steps[compiler] = trained()
    return steps[compiler]


def test_rows_cover_every_task_once(made):
    plan = made[0].plan
    found = plan.profile(steps=4)
    tasks = plan.outline().tasks
    assert sorted(row.number for row in found.rows) == list(range(len(tasks)))
    for row in found.rows:
        assert row.task.outputs == tasks[row.number].outputs
        assert row.seconds > 0 and row.calls >= 1
        assert row.bytes > 0 and row.limit >= 0
    times = [row.seconds for row in found.rows]
    assert times == sorted(times, reverse=True)


def test_times_add_up_to_the_step(made):
    """The parts of a step are its time, and they are found in it: little is left over."""
    step, arguments, _, _ = made
    plan = step.plan
    for _ in range(5):  # the machine may be busy with something else
        start = time.perf_counter()
        for _ in range(20):
            step(*arguments)
        plain = (time.perf_counter() - start) / 20
        found = plan.profile(steps=20)
        parts = sum(row.seconds for row in found.rows) + sum(found.other.values())
        assert parts == pytest.approx(found.seconds, rel=1e-9)
        assert all(seconds >= 0 for what, seconds in found.other.items() if what != OUTSIDE)
        close = 0.5 * plain < found.seconds < 2.5 * plain
        if close and -0.02 * found.seconds < found.other[OUTSIDE] < 0.75 * found.seconds:
            return
    raise AssertionError(f"a step takes {plain} s: {found}")


def test_a_kernel_that_takes_long_is_seen(monkeypatch):
    """20 ms that one op sleeps are in its row, and in no other."""
    monkeypatch.setattr(tg.plugins, "compilers_for", lambda backend: [])
    real = np.tanh

    class Slow:
        def __getattr__(self, name):
            return getattr(np, name)

        def tanh(self, x):
            time.sleep(0.02)
            return real(x)

    backend = config.get_backend("numpy")
    monkeypatch.setattr(type(backend), "xp", Slow())
    step = tg.compile(lambda x: tg.ops.tanh(x * 2.0) + 1.0)
    step(tg.tensor([1.0, 2.0]))
    found = step.plan.profile(steps=4)
    assert found.rows[0].task.name == "tanh"
    assert 0.02 <= found.rows[0].seconds < 0.03 and found.rows[1].seconds < 0.01


def snapshot(plan, model):
    """What a step writes: parameters, running statistics, the optimizer's memory; and the keys."""
    tensors = dict.fromkeys([*plan.program.assigned, *model.state().values()])
    return {x: np.array(x.data) for x in tensors}


def assert_same(before):
    assert len(before) > 20
    for x, values in before.items():
        np.testing.assert_array_equal(np.array(x.data), values)


def test_nothing_is_changed(made):
    """Not a bit of what a step writes, and not the next random key; the steps that follow are
    those that would have followed without a profile."""
    step, arguments, model, optimizer = made
    step(*arguments)
    before, random = snapshot(step.plan, model), config.random_state()
    counted = optimizer.steps, list(optimizer.updates)
    grads = [x.grad for x in model.parameters()]
    losses = [step(*arguments).item() for _ in range(3)]
    for x, values in before.items():
        x.data = values.copy()
    config.set_random_state(random)
    optimizer.steps, optimizer.updates[:] = counted
    for _ in range(2):  # the second time it begins with memory that is lent to the plan
        step.plan.profile(steps=3)
        assert_same(before)
        assert config.random_state() == random
        assert (optimizer.steps, optimizer.updates) == counted
        assert [x.grad for x in model.parameters()] == grads
    assert [step(*arguments).item() for _ in range(3)] == losses


def test_tensors_are_as_before_even_if_a_step_fails(made, monkeypatch):
    step, arguments, model, _ = made
    step(*arguments)
    plan = step.plan
    before, random = snapshot(plan, model), config.random_state()
    calls = []
    real = plan.run

    def failing(*given):
        real(*given)
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError

    monkeypatch.setattr(plan, "run", failing)
    with pytest.raises(ZeroDivisionError):
        plan.profile()
    monkeypatch.undo()
    assert_same(before)
    assert config.random_state() == random
    step(*arguments)
    assert any((np.array(x.data) != values).any() for x, values in before.items())


def test_versions_of_tensors_stay(made):
    step = made[0]
    tensors = list(step.plan.program.assigned)
    before = [x.version for x in tensors]
    step.plan.profile(steps=2)
    assert [x.version for x in tensors] == before


def test_gradients_that_a_step_leaves_stay(compiler):
    """A step without an optimizer adds to the gradients that it finds."""
    model = network()
    x = tg.tensor(np.ones((4, 3, 16, 16), "float32"))
    model(x)

    @tg.compile
    def step(x):
        loss = (model(x) ** 2).mean()
        loss.backward()
        return loss

    for _ in range(3):
        step(x)
    grads = [(p.grad, p.grad.numpy()) for p in model.parameters()]
    step.plan.profile(steps=3)
    for (grad, values), p in zip(grads, model.parameters(), strict=True):
        assert p.grad is grad
        np.testing.assert_array_equal(p.grad.numpy(), values)


def test_operations_are_those_of_direct_convolutions(made):
    """Counted by hand, however a plan computes them: Winograd's way counts as the direct one."""
    step = made[0]
    rows = step.plan.profile(steps=1).rows
    n = 16

    def conv(filters, channels, kernel, side):
        return 2 * n * filters * side * side * channels * kernel * kernel

    # of the second's 8 rows the third, two windows of 5 with a stride of 2, reads 7
    forward = [conv(16, 3, 3, 16), conv(16, 16, 3, 7), conv(8, 16, 5, 2)]
    wanted = 3 * sum(forward) - forward[0]  # values, weights, inputs but the first
    found = sum(row.flops for row in rows if "conv" in row.task.name or "winograd" in row.task.name)
    assert found == wanted
    products = sum(row.flops for row in rows if row.task.name in ("matmul", "product"))
    assert products == 3 * 2 * n * (32 * 20 + 20 * 10)


def test_bytes_are_those_of_what_is_read_and_written():
    assert bytes_of(tg.Spec((2, 3), "float32")) == 24
    assert bytes_of(tg.Spec((5,), "int64")) == 40
    assert bytes_of(tg.Spec((7,), "bool")) == 7
    step = tg.compile(lambda x, y: tg.ops.matmul(x, y))
    step(tg.tensor(np.ones((64, 32), "float32")), tg.tensor(np.ones((32, 16), "float32")))
    (row,) = step.plan.profile(steps=1).rows
    assert row.bytes == 4 * (64 * 32 + 32 * 16 + 64 * 16)
    assert row.flops == 2 * 64 * 32 * 16


def test_it_prints_as_a_table(made):
    found = made[0].plan.profile(steps=2)
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0].split()[0] == ("ms" if found.seconds >= 2e-3 else "µs")
    assert lines[0].split()[1:] == ["%", "calls", "GFLOP/s", "GB/s", "limit", "task", "kernels"]
    last = next(i for i, line in enumerate(lines) if line.endswith("a step"))
    shares = [float(line.split()[1]) for line in lines[1:last]]
    assert sum(shares) == pytest.approx(100, abs=0.1 * len(shares))
    calls = sum(int(line.split()[2]) for line in lines[1:last] if "%  y" in line or "%  ~y" in line
                or "%  +y" in line or "more task" in line)  # fmt: skip
    assert calls == int(lines[last].split()[2])
    assert f"{found.limits.flops / 1e9:.0f}" in str(found)


def test_limits_are_measured_once(made):
    plan = made[0].plan
    assert plan.profile(steps=1).limits is plan.profile(steps=1).limits
    limits = plan.profile(steps=1).limits
    assert min(limits) > 1e8, "no machine is that slow"


def test_a_profile_of_no_steps_is_refused(made):
    with pytest.raises(ConfigError, match=r"profile: steps is 0; give a number from 1 on"):
        made[0].plan.profile(steps=0)


def test_a_plan_that_does_not_hold_is_refused(compiler):
    layer = tg.layers.dropout(0.5)
    step = tg.compile(lambda x: layer(x))
    step(tg.tensor([1.0, 2.0]))
    layer.train(False)
    with pytest.raises(RecordingError, match=r"training changed since the plan was made; run"):
        step.plan.profile()


def test_a_runner_that_tells_nothing_is_named(compiler):
    class Mute:
        run = None

    step = tg.compile(lambda x: x + 1.0)
    step(tg.tensor([1.0]))
    step.plan.runner = Mute()
    with pytest.raises(RecordingError, match=r"profile: Mute does not tell its parts; give it"):
        step.plan.profile()


def test_a_plan_whose_kernels_are_being_compiled_is_profiled_as_it_runs(monkeypatch, capsys):
    """On NumPy, to the end of the profile even if the kernels come meanwhile; then on those."""
    pytest.importorskip("numba")
    from tensorgraph_numba.plan import beside, runner

    class Process:
        returncode = None
        polled = 0

        def poll(self):
            self.polled += 1
            return self.returncode

        def terminate(self): ...

    process = Process()
    monkeypatch.delenv(beside.VARIABLE, raising=False)
    monkeypatch.setattr(beside.warm, "_start", lambda missing: process)
    monkeypatch.setattr(beside.warm, "BUILDER", beside.warm.Builder())
    monkeypatch.setattr(
        runner.Plan, "missing", lambda self: [] if process.returncode == 0 else ["k"]
    )
    step = tg.compile(lambda x: tg.ops.tanh(tg.ops.relu(x * 2.0)))
    x = tg.tensor(np.ones((64, 64), "float32"))
    step(x)
    before = [task.name for task in step.plan.outline().tasks]
    assert before == ["multiply", "relu", "tanh"]
    process.returncode = 0  # they are ready
    found = step.plan.profile(steps=3)
    assert sorted(row.task.name for row in found.rows) == sorted(before)
    assert all(row.seconds > 0 for row in found.rows)
    step(x)
    assert [task.name for task in step.plan.outline().tasks] == ["chain"]
    assert [row.task.name for row in step.plan.profile(steps=3).rows] == ["chain"]
    assert "kernels" in capsys.readouterr().err
