"""The calls of CuPy, by CuPy itself where it is installed and there is no GPU: names, numbers and
types of arguments are what it takes, since each call gets as far as CUDA, which has no driver. This
says nothing of what a GPU would do."""

import functools

import numpy as np
import pytest
from tensorgraph_cupy import device as seam
from tensorgraph_cupy.clock import EventClock
from tensorgraph_cupy.device import CudaDevice
from tensorgraph_cupy.kernels.arrays import Arrays


@pytest.fixture(scope="module")
def cupy():
    cupy = pytest.importorskip("cupy")
    if cupy.is_available():
        pytest.skip("there is a GPU: these calls have addresses that are none")
    return cupy


@pytest.fixture
def event(cupy):
    made = cupy.cuda.Event.__new__(cupy.cuda.Event)
    made.ptr = 16
    yield made
    made.ptr = 0  # nothing to destroy


@pytest.fixture
def stream(cupy):
    made = cupy.cuda.Stream.__new__(cupy.cuda.Stream)
    made.ptr, made.device_id, made._foreign_stream_ref = 32, 0, None
    yield made
    made._foreign_stream_ref = made  # nothing to destroy


def reaches_cuda(cupy, call):
    """What else is wrong with a call is found before it gets there, and is another error."""
    with pytest.raises(RuntimeError, match=r"cudaErrorInsufficientDriver|cudaErrorNoDevice"):
        call()


HOST = np.zeros(8, np.float32)
CALLS = {
    "name": lambda device, event: device.name,
    "processors": lambda device, event: device.processors,
    "allocate": lambda device, event: device.allocate(512),
    "pinned": lambda device, event: device.pinned(512),
    "copy": lambda device, event: device.copy(4096, 8192, 64),
    "copy_in": lambda device, event: device.copy_in(4096, HOST),
    "copy_out": lambda device, event: device.copy_out(HOST, 4096),
    "fill": lambda device, event: device.fill(4096, 64, 1),
    "beside": lambda device, event: device.beside(),
    "record": lambda device, event: device.record(),
    "wait": lambda device, event: device.wait(event),
    "finish": lambda device, event: device.finish(event),
    "synchronize": lambda device, event: device.synchronize(),
    "capture": lambda device, event: device.capture(lambda: None),
    "launch": lambda device, event: device.launch("source", "function", (1,), (32,), (4096,)),
    "event.record": lambda device, event: event.record(device._current),
    "clock": lambda device, event: EventClock(device.cupy.cuda),
    "elapsed": lambda device, event: device.cupy.cuda.get_elapsed_time(event, event),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # half a Stream
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_what_cupy_takes(cupy, stream, event, name):
    reaches_cuda(cupy, lambda: CALLS[name](CudaDevice(cupy, stream), event))


def test_every_method_of_a_device_is_called():
    own = {name for name in vars(CudaDevice) if not name.startswith("_")}
    assert own - {"library", "stream"} <= set(CALLS)


def test_nothing_is_asked_for_zero_bytes(cupy, stream):
    device = CudaDevice(cupy, stream)
    device.copy(4096, 8192, 0)
    device.fill(4096, 0)
    device.copy_in(4096, np.zeros((0, 3), np.float32))


@pytest.mark.parametrize("shared", [0, 1024])
def test_arguments_are_packed_as_they_are_declared(cupy, stream, monkeypatch, shared):
    function = cupy.cuda.function.Function
    monkeypatch.setattr(seam, "_kernel", lambda *_: function.__new__(function))
    device = CudaDevice(cupy, stream)
    device.__dict__["_number"] = 0
    kinds = (np.int32, np.int64, np.uint32, np.uint64, np.float32, np.float64)
    launch = functools.partial(device.launch, "source", "function")
    arguments = (2**48, *[kind(3) for kind in kinds])
    reaches_cuda(cupy, lambda: launch((2, 3), (32, 4), arguments, shared))
    with pytest.raises(TypeError):
        launch((1,), (1,), ("text",))
    scalar = pytest.importorskip("cupy._core._scalar").CScalar
    assert [scalar(x).dtype for x in arguments] == [np.dtype(np.int64), *map(np.dtype, kinds)]


def test_graphs_are_launched_on_a_stream(cupy, stream):
    graph = cupy.cuda.Graph.__new__(cupy.cuda.Graph)
    reaches_cuda(cupy, lambda: graph.upload(stream))
    reaches_cuda(cupy, lambda: graph.launch(stream))


def test_arrays_over_memory_of_ours(cupy):
    pytest.importorskip("ml_dtypes")
    arrays = Arrays(cupy, CudaDevice(cupy))
    unowned = cupy.cuda.UnownedMemory

    class Known(unowned):  # CUDA would be asked on which device an address is
        def __init__(self, address, size, owner):
            super().__init__(address, size, owner, 0)

    cupy.cuda.UnownedMemory = Known
    try:
        for dtype, size in (("float32", 4), ("bfloat16", 2), ("int64", 8)):
            x = arrays.over(4096, (2, 3, 5), (15, 1, 3), dtype)
            assert (x.shape, str(x.dtype), x.data.ptr) == ((2, 3, 5), dtype, 4096)
            assert x.strides == (15 * size, size, 3 * size)
            assert arrays.address(x) == 4096
            assert x.data.mem.size == 30 * size
    finally:
        cupy.cuda.UnownedMemory = unowned


def test_cupys_errors_end_a_capture():
    """The first error is the one that is read, and the stream is free again."""

    class Captured:
        ptr, told = 7, ()

        def begin_capture(self):
            self.told += ("begin",)

        def end_capture(self):
            self.told += ("end",)
            raise NotImplementedError("a capture that is broken")  # a RuntimeError, as CUDA's are

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def broken():
        raise KeyError("the first")

    stream = Captured()
    device = CudaDevice(Namespace(), stream)
    with pytest.raises(KeyError, match="the first"):
        device.capture(broken)
    assert stream.told == ("begin", "end")


class Namespace:
    class cuda:  # noqa: N801
        runtime = None
