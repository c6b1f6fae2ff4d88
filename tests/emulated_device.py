"""A ``Device`` of the CuPy backend that runs its CUDA sources on the processor, by g++.

The launch functions, the sources and the captured graphs are those of the GPU; libraries are what
the test gives. It is stricter than a processor: see ``cuda_strict.h`` and ``emulated_graph.py``.
Speed is not seen here.
"""

from __future__ import annotations

import bisect
import ctypes

import numpy as np
from emulated_build import available, library
from emulated_graph import Capture, Event, replay
from tensorgraph_cupy.device import Memory
from tensorgraph_cupy.lib import MissingError

__all__ = ["EmulatedDevice", "available"]

GUARD = 512  # bytes before and after each piece of memory that no kernel may touch
WIPED = 0xFF  # fresh memory holds NaN, of every floating-point dtype
MOST_SHARED = 227 * 1024
MOST_THREADS = 1024
MOST_BLOCK = (1024, 1024, 64)
MOST_GRID = (2**31 - 1, 2**16 - 1, 2**16 - 1)


class Machine:
    """What the streams of one emulated GPU share."""

    def __init__(self, libraries, backwards):
        self.libraries = libraries  # name → a function of the device, as lib/<name>.py's open
        self.backwards = backwards
        self.recording = None  # the graph that is being captured
        self.memories = {}
        self.pinned = []
        self.launches = []  # (function, grid, block) of each launch asked for
        self.streams = 0

    def ranges(self, addresses):
        """What a launch may touch, as ``cuda_strict.h`` takes it: the device's memory; or anything,
        where an address is that of an array of NumPy's, which stands for one of the device's."""
        held = self.memories.copy()  # some of it may be freed while this looks at it
        ends = [e for start in sorted(held) for e in (start, start + max(1, held[start][0]))]
        if not all(bisect.bisect_right(ends, at) % 2 or not at for at in addresses):
            ends = []
        return (ctypes.c_uint64 * len(ends))(*ends)


class EmulatedDevice:
    """``backwards`` lets blocks and threads take turns from the last to the first: a kernel that
    lacks a barrier is right in one of the two orders at most."""

    name = "emulated"
    processors = 4
    ends = 0  # so many of the first and last blocks of each launch run alone; 0: all

    def __init__(self, libraries=None, *, backwards=False, machine=None):
        self.machine = machine or Machine(libraries or {}, backwards)
        self.number = self.machine.streams
        self.machine.streams += 1
        self.stream = self.number
        self.opened = {}  # libraries: each stream has its own

    def allocate(self, size):
        assert self.machine.recording is None, "memory is asked for within a capture"
        whole = np.full(size + 2 * GUARD + 256, WIPED, np.uint8)
        address = -(-(whole.ctypes.data + GUARD) // 256) * 256
        self.machine.memories[address] = (size, whole)
        return Memory(address, size, Freed(self.machine, address))

    def pinned(self, size):
        assert self.machine.recording is None, "memory is asked for within a capture"
        self.machine.pinned.append(np.full(size, WIPED, np.uint8))
        return self.machine.pinned[-1]

    def launch(self, source, function, grid, block, arguments, shared_bytes=0):
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        for sizes, most in ((grid, MOST_GRID), (block, MOST_BLOCK)):
            assert all(0 < n <= limit for n, limit in zip(sizes, most)), (function, grid, block)
        assert np.prod(block) <= MOST_THREADS and shared_bytes <= MOST_SHARED, (function, block)
        self.machine.launches.append((function, grid, block))
        run = getattr(library(source), f"launch_{function}")
        kinds, values = zip(*map(_argument, arguments))
        sizes = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)

        def work():
            pointers = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
            kinds_text = "".join(f"{kind} " for kind in kinds).encode()
            known = self.machine.ranges(
                [int(v[0]) for kind, v in zip(kinds, values) if kind == "p"]
            )
            failure = run(
                *(*sizes, shared_bytes, self.machine.backwards, kinds_text, pointers),
                *(known, len(known) // 2, self.ends),
            )
            if failure:
                raise RuntimeError(f"{function}: {failure.decode()}")
            self.check_guards(function)

        self.do(work)

    def do(self, work):
        """Run this now, or in each replay of the graph that is being captured: what libraries of
        tests do goes through here too."""
        if self.machine.recording is None:
            work()
        else:
            self.machine.recording.add(self.number, work)

    def copy(self, target, source, size):
        self.do(lambda: ctypes.memmove(target, source, size))

    def copy_in(self, target, host):
        assert host.flags.c_contiguous
        if self.machine.recording is not None:
            pinned = any(np.shares_memory(host, each) for each in self.machine.pinned)
            assert pinned, "a copy of pageable memory within a capture"
        self.do(lambda: ctypes.memmove(target, host.ctypes.data, host.nbytes))

    def copy_out(self, host, source):
        assert host.flags.c_contiguous
        self.synchronize()
        ctypes.memmove(host.ctypes.data, source, host.nbytes)

    def fill(self, target, size, byte=0):
        self.do(lambda: ctypes.memset(target, byte, size))

    def library(self, name):
        if name not in self.machine.libraries:
            raise MissingError(f"{name}: this test gives no such library")
        if name not in self.opened:
            assert self.machine.recording is None, f"{name} is opened within a capture"
            self.opened[name] = self.machine.libraries[name](self)
        return self.opened[name]

    def beside(self):
        return EmulatedDevice(machine=self.machine)

    def record(self):
        event = Event()
        if self.machine.recording is not None:
            self.machine.recording.record(self.number, event)
        return event

    def wait(self, event):
        if self.machine.recording is not None:
            self.machine.recording.wait(self.number, event)
        assert event.capture is self.machine.recording, "an event of a graph is waited for outside"

    def finish(self, event):
        self.synchronize()

    def synchronize(self):
        assert self.machine.recording is None, "the host cannot wait while a graph is captured"

    def capture(self, work):
        assert self.machine.recording is None
        self.machine.recording = capture = Capture(self.number)
        try:
            work()
        finally:
            self.machine.recording = None
        nodes = capture.end()
        return lambda: replay(nodes, self.machine.backwards)

    def check_guards(self, function=""):
        for address, (size, whole) in list(self.machine.memories.items()):
            start = address - whole.ctypes.data
            outside = (whole[:start], whole[start + size :])
            if any((part != WIPED).any() for part in outside):
                raise RuntimeError(f"{function}: wrote beside {size} bytes")

    # For tests: arrays in, arrays out.

    def put(self, array):
        """Memory with the bytes of an array."""
        array = np.ascontiguousarray(array)
        memory = self.allocate(array.nbytes)
        self.copy_in(memory.address, array)
        return memory

    def get(self, memory, shape, dtype):
        out = np.empty(shape, dtype)
        assert out.nbytes <= memory.size
        self.copy_out(out, memory.address)
        return out


class Freed:
    """Takes memory from the machine when nobody holds it any more."""

    def __init__(self, machine, address):
        self.machine, self.address = machine, address

    def __del__(self):
        self.machine.memories.pop(self.address, None)


def _argument(value):
    """The kind of an argument, as the header's ``code`` says it, and its bytes."""
    if type(value) is int:
        return "p", np.array([value], np.uint64)
    assert isinstance(value, np.generic), f"{value!r}: neither an address nor a NumPy scalar"
    array = np.array([value])
    return f"{array.dtype.kind}{array.dtype.itemsize}", array
