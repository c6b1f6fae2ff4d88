"""PyTorch's side of bench/gpu.py: its switches, its graph's start, its copies from the host.
Streams and events are those of a double: nothing here is a test of a GPU."""

import contextlib
import types
from dataclasses import replace

import numpy as np
import pytest
from bench_gpu_help import peers, switches_as_before

from bench.compare.workloads import WORKLOADS, weights
from bench.cuda.pytorch import EventClock, Feed, PyTorch

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # its own import's


@pytest.fixture
def switches():
    with switches_as_before():
        yield


@pytest.mark.parametrize("variant", ["eager", "tuned", "graph", "compile"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@peers
def test_pytorch_is_set_as_its_rows_say(switches, variant, precision):
    import torch

    workload = WORKLOADS["lenet5"]
    contender = PyTorch(torch, "cpu", precision, variant)
    with contender.active():
        contender.prepare(replace(workload, batch=2), weights(workload.network), True)
        said, tuned = contender.settings(), variant != "eager"
        tf32 = precision != "float32"
        assert said == {
            "tf32": [tf32, tf32],
            "autocast": "bfloat16" if precision == "bfloat16" else None,
            "channels_last": tuned,
            "cudnn.benchmark": tuned,
            "fused optimizer": tuned,
            "torch.compile": "default" if variant == "compile" else None,
        }
        assert torch.backends.cudnn.benchmark is tuned
        assert torch.backends.cuda.matmul.allow_tf32 is tf32
        seen = []
        for layer in contender.model:
            layer.register_forward_hook(lambda layer, given, out: seen.append(out))
        x, y = contender.place(np.zeros((2, 1, 28, 28), "float32"), np.array([1, 2]))
        contender._loss(x, y)
        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        assert {out.dtype for out in seen} == {kind}
        assert seen[3].is_contiguous(memory_format=torch.channels_last) is tuned


@peers
def test_a_graph_starts_from_the_given_weights(switches):
    """Its warm-up, which moves weights, statistics and the optimizer's memory, is undone."""
    import torch

    workload = replace(WORKLOADS["vgg_small"], batch=4)
    start = weights(workload.network)
    contender = PyTorch(torch, "cpu", "float32", "graph")
    with contender.active():
        contender.prepare(workload, start, False)
        state = contender.model.state_dict()
        assert not any(x.any() for s in contender.optimizer.state.values() for x in s.values())
        assert state["1.num_batches_tracked"] == 0 and not state["1.running_mean"].any()
        np.testing.assert_array_equal(state["0.weight"], start["0.weight"])


class Cuda:
    """Stands for torch.cuda: notes what is asked for, on which stream."""

    def __init__(self):
        self.log, self.now = [], "main"
        self.made = iter(["copying"])
        self.events = iter("abcd")

    def Stream(self):  # noqa: N802
        return next(self.made)

    @contextlib.contextmanager
    def stream(self, stream):
        before, self.now = self.now, stream
        yield
        self.now = before

    def Event(self, enable_timing=False):  # noqa: N802
        cuda, name = self, next(self.events)

        class Event:
            def __getattr__(self, what):
                return lambda *_: cuda.log.append(f"{what} {name} on {cuda.now}")

        return Event()


@peers
def test_batches_are_copied_beside_the_step_before():
    """Of the two slots one is filled while the other is used; nobody writes what is still read."""
    import torch

    cuda = Cuda()
    there = {"from_numpy": torch.from_numpy, "cuda": cuda}

    def empty(shape, dtype, pin_memory=False, device="cpu"):
        return torch.zeros(shape, dtype=dtype)

    feed = Feed(types.SimpleNamespace(**there, empty=empty), np.zeros(2, "float32"), np.zeros(2))
    got = []
    for i in range(3):
        feed.step(
            lambda x, y: (cuda.log.append("run"), got.append((x.tolist(), y.tolist()))),
            np.full(2, i, "float32"),
            np.full(2, -i),
        )
    assert got == [([i, i], [-i, -i]) for i in range(3)]
    a_step = [
        "synchronize a on main",  # filled: the pinned side may be written
        "wait b on copying",  # taken: the device's side may be written
        "record a on copying",
        "wait a on main",
        "run",
        "record b on main",
    ]
    other = [line.replace(" a ", " c ").replace(" b ", " d ") for line in a_step]
    assert cuda.log == a_step + other + a_step


def test_seconds_are_added_up_from_reading_to_reading():
    class Event:
        made = 0

        def __init__(self, enable_timing):
            assert enable_timing
            Event.made += 1
            self.at = 1000.0 * Event.made**2

        def record(self): ...
        def synchronize(self): ...

        def elapsed_time(self, later):
            return later.at - self.at

    clock = EventClock(types.SimpleNamespace(cuda=types.SimpleNamespace(Event=Event)))
    assert [clock(), clock()] == [3.0, 8.0]


@peers
def test_the_whole_step_is_captured_where_it_was_warmed_up(switches, monkeypatch):
    """CUDA's part of it, on the processor: captured work is done, and a replay does nothing."""
    import torch

    log = []

    @contextlib.contextmanager
    def stream(given):
        log.append(f"on {given}")
        yield

    @contextlib.contextmanager
    def graph(made, *, stream):
        log.append(f"capture on {stream}")
        yield
        made.replay = lambda: log.append("replay")

    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", types.SimpleNamespace)
    workload = replace(WORKLOADS["lenet5"], batch=3)
    contender = PyTorch(torch, "cpu", "float32", "graph")
    contender.cuda, contender.stream = True, "its own"
    step = contender._step
    monkeypatch.setattr(contender, "_step", lambda *given: (log.append("step"), step(*given))[1])
    with contender.active():
        contender.prepare(workload, weights(workload.network), True)
        assert log == ["on its own", *["step"] * 3, "capture on its own", "step"]
        assert contender.optimizer.param_groups[0]["capturable"] is True
        x, y = contender.place(np.ones((3, 1, 28, 28), "float32"), np.zeros(3, "int64"))
        assert contender.step(x, y) is contender.step(x, y), "the loss stays where it is"
        assert log[6:] == ["replay", "replay"]
