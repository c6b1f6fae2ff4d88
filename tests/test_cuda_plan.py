"""Steps compiled for the GPU, on the emulated device: the same numbers as eager NumPy's, and memory
that no two values want at the same time. Nothing here is a test of a GPU."""

import numpy as np
import pytest
from cuda_libraries import opened
from cuda_training import ADAM, WORKLOADS, Training
from emulated_backend import EmulatedBackend, WatchfulDevice
from emulated_device import available
from tensorgraph_cupy.kernels import random
from tensorgraph_cupy.plan import measure

import tensorgraph as tg
from tensorgraph import config, execute
from tensorgraph.errors import BackendError

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")


@pytest.fixture
def emulated(monkeypatch):
    """A backend "cupy" whose device is this machine's processor."""
    backend = EmulatedBackend()
    monkeypatch.setitem(tg.plugins._backends, "cupy", backend)
    monkeypatch.setattr(execute, "_calls", {})
    return backend


@pytest.mark.parametrize("name", WORKLOADS)
def test_training_steps_are_those_of_eager_numpy(emulated, name):
    with tg.use(backend="numpy"):
        eager = Training(*WORKLOADS[name], compiled=False)
        losses = eager.run(4)
    with tg.use(backend="cupy"):
        ours = Training(*WORKLOADS[name], compiled=True)
        np.testing.assert_allclose(ours.run(4), losses, rtol=2e-5)
        runner = ours.step.plan.runner
        assert [len(segment) > 3 for segment in runner.segments] == [True]  # one graph
        for key, want in eager.weights().items():
            limit = 1e-4 * max(1e-2, np.abs(want).max())
            if WORKLOADS[name][2] == "adam":  # where a gradient is all but 0, its sign decides
                limit = max(limit, 0.1 * ADAM[1]["lr"])
            np.testing.assert_allclose(ours.weights()[key], want, atol=limit, err_msg=key)
        check_memory(runner)


def test_a_plan_is_printed_drawn_and_profiled(emulated, monkeypatch):
    monkeypatch.setattr(measure, "SIDE", 16)
    with tg.use(backend="cupy"):
        ours = Training(*WORKLOADS["lenet5"], compiled=True)
        ours.run(1)
        text = str(ours.step.plan)
        assert "stage 0: one CUDA graph" in text and "loss and gradient(" in text
        assert "conv(x0, w0, w1': conv add relu)" in text
        assert "<svg" in ours.step.plan.draw()
        before = ours.weights()
        table = ours.step.plan.profile(steps=2)
        assert len(table.rows) >= len(ours.step.plan.runner.planner.tasks)
        for name, x in ours.weights().items():
            np.testing.assert_array_equal(x, before[name])
        ours.run(1)  # it goes on as if nothing had been


def check_memory(runner):
    """Go through the tasks with a note, for each byte, of the value that it holds: what a task
    reads must be there still, and what is returned at the end."""
    places, layout = runner.places, runner.planner.layout
    held = {}  # byte's number / 4 → value

    def words(x):
        start = places.at[x]
        return range(start // 4, -(-(start + places.bytes_of(x)) // 4))

    def write(x):
        held.update(dict.fromkeys(words(x), x))

    def read(x, why):
        root = layout.root(x)
        assert all(held.get(word) is root for word in words(root)), why

    program = runner.planner.program
    hosts = [x for _, values in program.hosts for x in values]
    for x in (*program.arguments, *hosts, *program.state, *program.constants):
        write(x)
    for task in runner.planner.tasks:
        for x in task.inputs:
            read(x, f"{task.name} reads what is not there")
        for x in task.outputs:
            write(x)
    for x in program.results():
        read(x, "a result was overwritten")


def test_tensors_are_their_own_outside_of_steps(emulated):
    """What was handed out is never written to, and a tensor that is replaced is read anew."""
    with tg.use(backend="cupy"):
        ours = Training(*WORKLOADS["mlp"], compiled=True)
        ours.run(2)
        name, weight = next(iter(dict(ours.model.named_parameters()).items()))
        held = weight.data
        before = np.array(held)
        first = ours.step(*ours.batch())
        value = first.item()
        ours.run(2)
        np.testing.assert_array_equal(emulated.to_host(held), before)
        assert first.item() == value
        assert np.abs(weight.numpy() - before).max() > 0, name
        weight.data = emulated.asarray(before, None)
        x, y = ours.batch()
        want = tg.ops.cross_entropy(ours.model(x), y).item()  # eager, by the tensors' own values
        assert ours.step(x, y).item() == pytest.approx(want, rel=1e-5)


def test_two_plans_share_a_models_weights(emulated):
    with tg.use(backend="cupy"):
        ours = Training(*WORKLOADS["normed"], compiled=True)
        infer = tg.compile(lambda x: ours.model(x))
        x, _ = ours.batch()
        for _ in range(3):
            ours.run(1)
            ours.model.eval()
            with tg.no_grad():
                np.testing.assert_allclose(
                    infer(x).numpy(), ours.model(x).numpy(), rtol=1e-4, atol=1e-5
                )
            ours.model.train()


def test_an_op_without_a_launch_runs_between_graphs_and_the_plan_says_so(emulated):
    with tg.use(backend="cupy"):
        step = tg.compile(lambda x: tg.ops.cumsum(x * 2, axis=0) + 1)
        for i in range(3):
            x = np.arange(6, dtype=np.float32).reshape(3, 2) + i
            np.testing.assert_allclose(step(tg.tensor(x)).numpy(), np.cumsum(x * 2, 0) + 1)
        runner = step.plan.runner
        assert [task.captured for task in runner.planner.tasks] == [True, False, True]
        text = str(step.plan)
        assert "stage 1: between graphs" in text and "= cumsum, run by its own kernel(" in text
    assert config.current().backend.value != "cupy"


def test_without_cudnn_windows_are_gathered_within_the_graph(monkeypatch):
    libraries = {"cublaslt": opened()["cublaslt"]}
    monkeypatch.setitem(tg.plugins._backends, "cupy", EmulatedBackend(WatchfulDevice(libraries)))
    monkeypatch.setattr(execute, "_calls", {})
    with tg.use(backend="numpy"):
        losses = Training(*WORKLOADS["simple_cnn"], compiled=False).run(3)
    with tg.use(backend="cupy"):
        ours = Training(*WORKLOADS["simple_cnn"], compiled=True)
        np.testing.assert_allclose(ours.run(3), losses, rtol=2e-5)
        assert len(ours.step.plan.runner.segments) == 1


def test_without_libraries_products_run_between_graphs(monkeypatch):
    monkeypatch.setitem(tg.plugins._backends, "cupy", EmulatedBackend(WatchfulDevice({})))
    monkeypatch.setattr(execute, "_calls", {})
    with tg.use(backend="numpy"):
        losses = Training(*WORKLOADS["lenet5"], compiled=False).run(3)
    with tg.use(backend="cupy"):
        ours = Training(*WORKLOADS["lenet5"], compiled=True)
        np.testing.assert_allclose(ours.run(3), losses, rtol=2e-5)
        eager = [task.name for task in ours.step.plan.runner.planner.tasks if not task.captured]
        assert {name.split(",")[0] for name in eager} == {
            "matmul", "conv", "conv_input", "conv_weight",
        }  # fmt: skip


def test_what_cannot_be_captured_is_named(emulated, monkeypatch):
    drop = random.drop

    def refused(device, *arguments):
        if emulated.device.machine.recording is not None:
            raise RuntimeError("operation not permitted when stream is capturing")
        drop(device, *arguments)

    monkeypatch.setattr(random, "drop", refused)
    with tg.use(backend="cupy"):
        ours = Training(*WORKLOADS["simple_cnn"], compiled=True)
        ours.run(1)
        with pytest.raises(BackendError, match=r"drop cannot be captured .*train.compile = false"):
            ours.run(1)
