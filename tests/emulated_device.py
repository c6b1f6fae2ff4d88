"""A ``Device`` of the CuPy backend that runs its CUDA sources on the processor, by g++.

The launch functions, the sources and the captured graphs are those of the GPU; libraries are what
the test gives. Neither speed nor races between threads that no barrier orders are seen here.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tensorgraph_cupy.device import Memory
from tensorgraph_cupy.lib import MissingError

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
GUARD = 512  # bytes before and after each piece of memory that no kernel may touch
WIPED = 0xFF  # fresh memory holds NaN, of every floating-point dtype
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-fno-strict-aliasing", "-Wall", "-Werror"]
FLAGS += ["-Wno-unused", "-Wno-unknown-pragmas", "-Wno-bool-compare"]
MOST_SHARED = 227 * 1024
MOST_THREADS = 1024


def available():
    return sys.platform == "linux" and shutil.which("g++") is not None


class Machine:
    """What the streams of one emulated GPU share."""

    def __init__(self, libraries, backwards):
        self.libraries = libraries  # name → a function of the device, as lib/<name>.py's open
        self.backwards = backwards
        self.recording = None  # while a graph is captured: (stream, what to do), in order
        self.memories = {}
        self.launches = []  # (function, grid, block) of each launch asked for
        self.streams = 0


class Event:
    done = False


class EmulatedDevice:
    """``backwards`` lets blocks and threads take turns from the last to the first: a kernel that
    lacks a barrier is right in one of the two orders at most."""

    name = "emulated"
    processors = 4

    def __init__(self, libraries=None, *, backwards=False, machine=None):
        self.machine = machine or Machine(libraries or {}, backwards)
        self.number = self.machine.streams
        self.machine.streams += 1
        self.stream = self.number
        self.opened = {}  # libraries: each stream has its own

    def allocate(self, size):
        whole = np.full(size + 2 * GUARD + 256, WIPED, np.uint8)
        address = -(-(whole.ctypes.data + GUARD) // 256) * 256
        self.machine.memories[address] = (size, whole)
        return Memory(address, size, Freed(self.machine, address))

    def pinned(self, size):
        return np.full(size, WIPED, np.uint8)

    def launch(self, source, function, grid, block, arguments, shared_bytes=0):
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        assert all(0 < n < 2**31 for n in grid) and max(grid[1:]) < 2**16, (function, grid)
        assert np.prod(block) <= MOST_THREADS and shared_bytes <= MOST_SHARED, (function, block)
        self.machine.launches.append((function, grid, block))
        run = getattr(library(source), f"launch_{function}")
        kinds, values = zip(*map(_argument, arguments))
        sizes = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)

        def work():
            pointers = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
            kinds_text = "".join(f"{kind} " for kind in kinds).encode()
            failure = run(*sizes, shared_bytes, self.machine.backwards, kinds_text, pointers)
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
            self.machine.recording.append((self.number, work))

    def copy(self, target, source, size):
        self.do(lambda: ctypes.memmove(target, source, size))

    def copy_in(self, target, host):
        assert host.flags.c_contiguous
        self.do(lambda: ctypes.memmove(target, host.ctypes.data, host.nbytes))

    def copy_out(self, host, source):
        assert host.flags.c_contiguous and self.machine.recording is None
        ctypes.memmove(host.ctypes.data, source, host.nbytes)

    def fill(self, target, size, byte=0):
        self.do(lambda: ctypes.memset(target, byte, size))

    def library(self, name):
        if name not in self.machine.libraries:
            raise MissingError(f"{name}: this test gives no such library")
        if name not in self.opened:
            self.opened[name] = self.machine.libraries[name](self)
        return self.opened[name]

    def beside(self):
        return EmulatedDevice(machine=self.machine)

    def record(self):
        event = Event()
        self.do(lambda: setattr(event, "done", True))
        return event

    def wait(self, event):
        if self.machine.recording is not None:
            self.machine.recording.append((self.number, event))

    def finish(self, event):
        self.synchronize()

    def synchronize(self):
        assert self.machine.recording is None, "the host cannot wait while a graph is captured"

    def capture(self, work):
        assert self.machine.recording is None
        self.machine.recording = nodes = []
        try:
            work()
        finally:
            self.machine.recording = None
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


def replay(nodes, backwards):
    """Run a graph. Its streams are ordered by events alone: the last stream goes first, as far as
    it can, or else the first one does."""
    streams = {}
    for stream, node in nodes:
        streams.setdefault(stream, []).append(node)
        if isinstance(node, Event):
            node.done = False
    places = dict.fromkeys(streams, 0)
    while any(places[s] < len(streams[s]) for s in streams):
        before = dict(places)
        for stream in sorted(streams, reverse=not backwards):
            while places[stream] < len(streams[stream]):
                node = streams[stream][places[stream]]
                if isinstance(node, Event):
                    if not node.done:
                        break
                else:
                    node()
                places[stream] += 1
            if places != before:
                break
        assert places != before, "streams wait for each other's events for ever"


def _argument(value):
    """The kind of an argument, as the header's ``code`` says it, and its bytes."""
    if type(value) is int:
        return "p", np.array([value], np.uint64)
    assert isinstance(value, np.generic), f"{value!r}: neither an address nor a NumPy scalar"
    array = np.array([value])
    return f"{array.dtype.kind}{array.dtype.itemsize}", array


@functools.cache
def library(source):
    """A CUDA source as a library for this machine's processor, kept on the disk by its text."""
    # What g++ cannot read: dynamic shared memory is an array without a size, declared extern.
    text = re.sub(
        r"extern __shared__ ([\w ]+?) (\w+)\[\];",
        r"\1* \2 = reinterpret_cast<\1*>(dynamic_shared);",
        source,
    )
    names = re.findall(r"^(?:KERNEL|extern \"C\" __global__ void)\s+(\w+)\(", source, re.M)
    starts = [
        f'extern "C" const char* launch_{name}(const unsigned* grid, const unsigned* block, '
        "int shared, int backwards, const char* kinds, void** arguments) {\n"
        f"    return emulation::launch({name}, grid, block, shared, backwards, kinds, arguments);"
        "\n}"
        for name in names
    ]
    folder = _precompiled_header()
    text = "\n".join([text, *starts])
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.so"
    if not path.exists():
        main = path.with_suffix(f".{os.getpid()}.cpp")
        main.write_text(text)
        try:
            _compile("-shared", "-x", "c++", "-include", folder / HEADER.name, main, to=path)
        except RuntimeError as error:
            raise RuntimeError(f"{names}, in {main}: {error}") from None
        main.unlink()
    loaded = ctypes.CDLL(str(path))
    for name in names:
        getattr(loaded, f"launch_{name}").restype = ctypes.c_char_p
    return loaded


@functools.cache
def _precompiled_header():
    """The folder that holds what is compiled with the header as it is now."""
    text = HEADER.read_bytes()
    key = hashlib.sha256(text + " ".join(FLAGS).encode()).hexdigest()[:24]
    own = Path(tempfile.gettempdir(), f"tensorgraph-cuda-on-cpu-{os.getuid()}")
    own.mkdir(mode=0o700, exist_ok=True)
    assert own.stat().st_uid == os.getuid(), f"{own}, whose libraries are run, is somebody else's"
    folder = own / key
    folder.mkdir(exist_ok=True)
    header = folder / HEADER.name
    if not header.with_suffix(".h.gch").exists():
        header.write_bytes(text)
        _compile("-x", "c++-header", header, to=header.with_suffix(".h.gch"))
    return folder


def _compile(*arguments, to):
    """Written under another name first: several processes may be at it."""
    written = to.with_name(f"{to.name}.{os.getpid()}")
    command = ["g++", *FLAGS, *map(str, arguments), "-o", str(written)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"g++ says:\n{done.stderr}")
    written.replace(to)
