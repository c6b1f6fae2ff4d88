"""What ``CudaDevice`` and benchmarks call of CuPy, on the emulated device: whether the calls fit
together, streams and captures among them. Names and arguments are compared with CuPy's own where it
is installed."""

import ctypes
import functools
import threading
import time
import types

from emulated_device import EmulatedDevice


class Graph:
    def __init__(self, replay):
        self.replay = replay

    def upload(self, stream):
        pass

    def launch(self, stream):
        self.replay()


class Event:
    """Its time is that of the host when it is recorded: all before it is done then."""

    def __init__(self, disable_timing=False):
        self.timed, self.made = not disable_timing, None

    def record(self, stream=None):
        self.made, self.seconds = stream.device.record(), time.perf_counter()

    def synchronize(self):
        assert self.made is not None, "an event that was not recorded"


class Stream:
    def __init__(self, device):
        self.device = device
        self.ptr = 100 + device.number

    def begin_capture(self):
        """The device captures what is asked for while a function runs: one that waits, in a
        thread, for the end."""
        assert self.ptr != 100, "CUDA refuses to capture the default stream"
        begun, self.ended, self.made = threading.Event(), threading.Event(), []

        def work():
            begun.set()
            self.ended.wait()

        capture = functools.partial(self.device.capture, work)
        self.thread = threading.Thread(target=lambda: self.made.append(capture()))
        self.thread.start()
        begun.wait()

    def end_capture(self):
        self.ended.set()
        self.thread.join()
        return Graph(self.made.pop())

    def wait_event(self, event):
        self.device.wait(event.made)

    def synchronize(self):
        self.device.synchronize()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Pointer:
    def __init__(self, memory):
        self.memory, self.ptr = memory, memory.address


class Runtime:
    memcpyDeviceToDevice, memcpyHostToDevice, memcpyDeviceToHost = 3, 1, 2  # noqa: N815

    def __init__(self, streams):
        self.streams = streams

    def getDevice(self):  # noqa: N802
        return 0

    def getDeviceProperties(self, number):  # noqa: N802
        return {"name": b"CuPy on the emulated device", "multiProcessorCount": 4}

    def memcpyAsync(self, target, source, size, kind, stream):  # noqa: N802
        device = self.streams[stream].device
        if kind == self.memcpyHostToDevice:  # which reads the host's memory before it returns
            ctypes.memmove(target, source, size)
        else:
            device.copy(target, source, size)

    def memsetAsync(self, target, byte, size, stream):  # noqa: N802
        self.streams[stream].device.fill(target, size, byte)


class Cuda:
    Event = Event

    def __init__(self, device):
        self.device = device
        self.null = Stream(device)
        self.streams = {self.null.ptr: self.null}
        self.runtime = Runtime(self.streams)

    def Stream(self, non_blocking=False):  # noqa: N802
        assert non_blocking
        made = Stream(self.device.beside())
        self.streams[made.ptr] = made
        return made

    def get_current_stream(self):
        return self.null

    def alloc(self, size):
        assert self.device.machine.recording is None, "memory is asked for within a capture"
        return Pointer(self.device.allocate(size))

    def get_elapsed_time(self, start, end):
        assert start.timed and end.timed and start.made is not None
        return 1e3 * (end.seconds - start.seconds)


class Cupy:
    """The module."""

    def __init__(self, device=None):
        self.cuda = Cuda(device or EmulatedDevice())

    def RawKernel(self, source, function, options):  # noqa: N802
        def run(grid, block, arguments, shared_bytes, stream):
            stream.device.launch(source, function, grid, block, arguments, shared_bytes)

        return types.SimpleNamespace(kernel=run)
