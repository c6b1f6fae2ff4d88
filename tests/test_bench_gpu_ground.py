"""How kernels are timed on a GPU, by CuPy's and PyTorch's events, streams and graphs: on doubles of
both, so that the calls fit together. None of this is a test of a GPU."""

import contextlib
import inspect
import types
import weakref

import numpy as np
import pytest
from bench_gpu_help import peers
from cublaslt_double import CublasltDouble
from cudnn_double import FrontendDouble
from cupy_double import Cupy
from emulated_backend import HostArrays
from emulated_device import EmulatedDevice, available
from gpu_rehearsal import Setting, rows_of
from tensorgraph_cupy.device import CudaDevice
from tensorgraph_cupy.lib import cublaslt, cudnn

import tensorgraph as tg
from bench.cuda import kernels, limits, process
from bench.cuda.case import Case, timed
from bench.cuda.ground import L2, Ground, Runner

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")


class Device(Setting):
    """A GPU whose CuPy is a double; without PyTorch unless a test puts a double there."""

    emulated = False

    def backend(self):
        device = EmulatedDevice()
        cupy = Cupy(device)
        own = CudaDevice(cupy)
        return types.SimpleNamespace(xp=cupy, device=own, arrays=HostArrays(np, device))

    def torch(self):
        return None


@pytest.fixture
def libraries(monkeypatch):
    """cuBLASLt and cuDNN in NumPy, for each stream."""

    def at(device):
        """The emulated device's part of a stream."""
        stream = device._current
        return types.SimpleNamespace(stream=stream.ptr, do=stream.device.do, name=device.name)

    monkeypatch.setattr(
        cublaslt, "open", lambda device: cublaslt.Cublaslt(CublasltDouble(at(device)), device)
    )
    monkeypatch.setattr(
        cudnn, "open", lambda device: cudnn.Cudnn(FrontendDouble(at(device)), device)
    )


def of(kind):
    found = (c for family in kernels.FAMILIES for c in family(True) if c.kind == kind)
    return next(found)


@pytest.mark.parametrize("kind", ["max_pool", "conv", "matmul + bias", "update by sgd"])
def test_a_kernel_on_a_gpu(libraries, kind):
    row = timed(Ground(Device()), of(kind), {"copy": 1e9})
    assert row["graphs"] == [True] and row["seconds"] > 0 and row["bandwidth_share"] > 0


def test_limits_on_a_gpu(libraries, monkeypatch):
    monkeypatch.setattr("gpu_rehearsal.Setting", Device)
    rows = rows_of(limits)
    assert not [row for row in rows if "failed" in row]
    assert {row["kind"] for row in rows} == {"copy", "read", "write", "product", "host", "graph"}


@peers
def test_a_kernel_beside_pytorch_on_a_gpu(monkeypatch):
    """PyTorch's graphs and events are doubles, whose names it must have."""
    import torch

    asked = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            asked.append("record")

        def synchronize(self):
            asked.append("synchronize")

        def elapsed_time(self, end):
            return 2.0

    class Captured:
        def replay(self):
            asked.append("replay")

    doubles = {"Event": Event, "CUDAGraph": Captured, "synchronize": lambda: None}
    doubles["graph"] = contextlib.nullcontext
    for name, double in doubles.items():
        assert hasattr(torch.cuda, name)
        monkeypatch.setattr(torch.cuda, name, double)
    monkeypatch.setattr(Device, "torch", lambda self: (torch, "cuda"))
    ground = Ground(Device())
    row = timed(ground, of("max_pool"), {})
    assert row["graphs"] == [True, True] and not row["wrong"] and row["error"] == 0
    assert 0 < row["theirs"] <= 2e-3 and asked.count("replay") >= ground.rounds
    assert asked[-3:] == ["replay", "record", "synchronize"]

    def refused(graph):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refused)
    assert timed(ground, of("max_pool"), {})["graphs"] == [True, False]


def test_the_double_has_cupys_names_and_arguments():
    cupy = pytest.importorskip("cupy")
    double = Cupy(EmulatedDevice())
    for name in vars(type(double.cuda)) | vars(double.cuda):
        if not name.startswith("_") and name not in ("device", "null", "streams"):
            assert hasattr(cupy.cuda, name), name
    for name in ("memcpyAsync", "memsetAsync", "getDevice", "getDeviceProperties"):
        assert hasattr(cupy.cuda.runtime, name)
    for name in ("memcpyDeviceToDevice", "memcpyHostToDevice", "memcpyDeviceToHost"):
        assert getattr(cupy.cuda.runtime, name) == getattr(double.cuda.runtime, name)
    for name in ("begin_capture", "end_capture", "wait_event", "synchronize"):
        assert hasattr(cupy.cuda.Stream, name)
    for name in ("record", "synchronize"):
        assert hasattr(cupy.cuda.Event, name)
    for name in ("upload", "launch"):
        assert hasattr(cupy.cuda.Graph, name)
    assert "non_blocking" in (cupy.cuda.Stream.__doc__ or "") + str(
        inspect.getdoc(cupy.cuda.Stream.__init__)
    )


def runner(seconds):
    """Calls that take so long on a clock that is made up."""
    spent = [0.0]

    def replay():
        spent[0] += 4 * seconds

    def clock(work):
        before = spent[0]
        work()
        return spent[0] - before

    return Runner(replay, 4, clock, True)


def test_readings_are_of_one_call_and_take_turns():
    ground = Ground(Setting())
    ground.rounds, ground.least = 5, 1e-3
    order = []
    runners = [runner(1e-6), runner(3e-5)]
    for number, each in enumerate(runners):
        clock = each.seconds
        seconds = lambda work, clock=clock, number=number: order.append(number) or clock(work)  # noqa: E731
        runners[number] = each._replace(seconds=seconds)
    first, second = ground.interleaved(runners)
    assert first == pytest.approx([1e-6] * 5) and second == pytest.approx([3e-5] * 5)
    assert order[-10:] == [0, 1] * 5, "a reading of each in turn"


def test_sets_are_more_than_the_cache():
    ground = Ground(Setting())
    ground.small = False
    assert ground.sets(1 << 30) == 1
    assert ground.sets(L2) == 2 and ground.sets(L2 // 4) == 8
    assert ground.sets(100) == 32, "what is small stays in the cache, and is said to"


def test_pytorchs_results_lie_apart_until_all_are_there():
    """Else each would lie where the one before it did, and stay in the cache."""
    kept, counts = weakref.WeakSet(), []

    class Result: ...

    def call():
        made = Result()
        kept.add(made)
        counts.append(len(kept))
        return made

    Ground(Setting()).theirs([call] * 4).replay()
    assert counts[-4:] == [1, 2, 3, 4]


def test_kernels_go_on_after_one_that_broke_the_gpu(tmp_path, monkeypatch):
    """In the process that comes after: the row of the one that broke it, and then the others."""
    words = of("random words")

    def broken(ground):
        ground.synchronize = broken
        raise RuntimeError("misaligned address")

    def family(small):
        yield Case("broken", "1", "float32", 4, 0, broken, first=True)
        yield words

    monkeypatch.setattr(kernels, "FAMILIES", (family,))
    rows = tmp_path / "rows"
    rows.touch()
    monkeypatch.setenv(process.ROWS, str(rows))
    with tg.use(backend="numpy"), pytest.raises(RuntimeError, match="misaligned"):
        kernels.run(Setting(), process.note)
    (lost,) = process.earlier()
    assert (lost["kind"], lost["failed"]) == ("broken", "RuntimeError: misaligned address")
    first, verdict, *_ = rows_of(kernels)
    assert first["kind"] == "random words" and verdict["verdict"] == "kernels' results"


def test_shares_are_of_copies_of_as_many_bytes():
    best = limits.Best([(1 << 22, 1e12), (1 << 24, 3e12), (1 << 30, 4e12)], {"tf32": 4e14})
    assert best.of(1 << 23) == {"copy": pytest.approx(2e12), "tf32": 4e14}
    assert best.of(1 << 10)["copy"] == 1e12 and best.of(1 << 34)["copy"] == 4e12
    found = limits.quick(Ground(Setting()))
    assert [size for size, _ in found.copies] == [1 << 12, 1 << 13]
    assert all(speed > 0 for _, speed in found.copies) and [*found.products] == [*limits.SIDES]
