"""Plans on two streams, on the emulated device with an account of who touches which bytes: no two
launches on different streams touch the same ones, one of them writing, without an event."""

import functools
import gc
import itertools

import numpy as np
import pytest
from cuda_libraries import opened
from cuda_training import WORKLOADS, Training
from emulated_backend import EmulatedBackend
from stream_order import OrderedDevice
from tensorgraph_cupy.plan import aside, runner
from tensorgraph_cupy.plan.placement import Placement
from test_cuda_plan import available

import tensorgraph as tg
from tensorgraph import execute

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")


class Watched(runner.Plan):
    """Its tasks' launches tell the device what they touch."""

    def __init__(self, *given):
        super().__init__(*given)
        for task in itertools.chain(*self.segments):
            task.bind = functools.partial(self.noted, task, task.bind)

    def noted(self, task, bind, places):
        launch = bind(places)

        def spans(values):
            roots = {places.layout.root(x) for x in values}
            return [(places.at[x], places.bytes_of(x)) for x in roots]

        def run(device):
            device.note(task.name, spans(task.inputs), spans(task.outputs))
            launch(device)

        return run


@pytest.fixture
def ordered(monkeypatch):
    backend = EmulatedBackend(OrderedDevice(opened()))
    monkeypatch.setitem(tg.plugins._backends, "cupy", backend)
    monkeypatch.setattr(execute, "_calls", {})
    monkeypatch.setattr(runner, "Plan", Watched)
    return backend


def losses_of(name, backend):
    with tg.use(backend=backend):
        ours = Training(*WORKLOADS[name], compiled=backend == "cupy")
        return ours.run(4), ours.step


@pytest.mark.parametrize("beside", ["", "1"])
@pytest.mark.parametrize("name", ["lenet5", "simple_cnn"])
def test_streams_wait_for_each_other(monkeypatch, ordered, name, beside):
    monkeypatch.setenv(aside.VARIABLE, beside)
    want, _ = losses_of(name, "numpy")
    got, step = losses_of(name, "cupy")
    np.testing.assert_allclose(got, want, rtol=2e-5)  # replays take the last stream first
    plan = step.plan.runner
    gradients = [task.name for task in plan.aside]
    assert set(gradients) == ({"conv_weight", "matmul"} if beside else set())
    accesses = ordered.device.machine.accesses
    streams = {stream for *_, stream, _, who in accesses if who in ("conv", "conv_weight")}
    assert len(streams) == 1 + bool(beside)


def test_the_account_finds_a_join_that_is_missing(monkeypatch, ordered):
    monkeypatch.setenv(aside.VARIABLE, "1")
    init = runner.Plan.__init__

    def forgetful(self, *arguments):
        init(self, *arguments)
        self.joins = set()

    monkeypatch.setattr(runner.Plan, "__init__", forgetful)
    with pytest.raises(AssertionError, match="chains does not wait for"):
        losses_of("simple_cnn", "cupy")


def test_the_account_finds_memory_that_is_given_away_too_early(monkeypatch, ordered):
    monkeypatch.setenv(aside.VARIABLE, "1")
    monkeypatch.setattr(runner, "Placement", lambda *given: Placement(*given[:-1], {}))
    with pytest.raises(AssertionError, match="does not wait for"):
        losses_of("simple_cnn", "cupy")


def test_a_plan_waits_for_who_still_reads_the_memory_of_another(ordered):
    """Results are copied from the memory of a plan on the backend's stream."""
    with tg.use(backend="cupy"):
        x = tg.tensor(np.ones(4, np.float32))
        kept = [tg.compile(lambda x: x + x)(x)]
        gc.collect()  # the plan, but not what it returned
        kept.append(tg.compile(lambda x: x - x)(x))
    assert [y.numpy().tolist() for y in kept] == [[2] * 4, [0] * 4]
