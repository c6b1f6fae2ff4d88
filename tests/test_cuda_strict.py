"""What a GPU forbids and a processor forgives: the emulated device finds each of these faults."""

import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.cuda import complete

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
THREADS = 64


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def device(request):
    return EmulatedDevice(backwards=request.param)


def launch(device, body, *arguments, grid=(1,), block=(THREADS,), parameters="int* out"):
    text = f'#include "common.cuh"\n#include "split.cuh"\nKERNEL run({parameters}) {{{body}}}\n'
    out = device.allocate(4 * THREADS)
    device.fill(out.address, out.size)
    device.launch(complete("test.cu", text), "run", grid, block, (out.address, *arguments))
    return device.get(out, (THREADS,), np.int32)


SHARED = "__shared__ int shared[64]; const int t = threadIdx.x; shared[t] = t;"
OWN = "int& own = out[threadIdx.x];"
FAULTS = {
    "no barrier before shared memory is read": (
        f"{SHARED} out[t] = shared[63 - t];",
        "a race: .* shared memory",
    ),
    "no barrier before it is written again": (
        f"{SHARED} __syncthreads(); out[t] = shared[63 - t]; shared[t] = 0;",
        "a race: .* shared memory",
    ),
    "a warp's lanes taken to go along together": (
        f"{SHARED} if (t < 16) shared[t] += shared[t + 16];",
        "a race: .* shared memory",
    ),
    "all threads store to one place": ("out[0] = threadIdx.x;", "a race: .* global memory"),
    "no barrier before memory is read": (
        "out[threadIdx.x] = 1; out[threadIdx.x] = out[63 - threadIdx.x];",
        "a race: .* global memory",
    ),
    "threads at different barriers": (
        "if (threadIdx.x % 2) {\n__syncthreads();\n} else {\n__syncthreads();\n}",
        "wait at different barriers",
    ),
    "a barrier that some leave out": (
        "if (threadIdx.x % 2) __syncthreads();",
        "barrier or shuffle that the others never reach",
    ),
    "an address between two elements": (
        "if (threadIdx.x == 0) out[0] = *(int*)((char*)out + 6);",
        "no multiple of what is loaded",
    ),
    "16 bytes from a multiple of four": (
        "if (threadIdx.x == 0) load_items<4>((const float*)out + 1);",
        "no multiple of what is loaded",
    ),
    "beyond the end": ("out[64 + threadIdx.x] = 1;", "writes 4 bytes .* no memory of the device"),
    "before the start": ("out[threadIdx.x] = out[-200];", "reads 4 bytes .* no memory of the"),
    "a product of 32 bits": (f"{OWN} own = (70000 + own) * (70000 + own);", "a product overflows"),
    "a sum of 32 bits": (f"{OWN} own += 2147483647; own += 1;", "a sum overflows"),
    "a shift too far": (f"{OWN} own = 1 << (32 + own);", "bits are shifted too far"),
    "division by zero": (f"{OWN} own = 1 / own;", "a division by zero"),
    "an index beyond a shared array": (
        "__shared__ int shared[8]; shared[threadIdx.x] = 1;",
        "an index beyond an array",
    ),
    "too much shared memory": (
        "__shared__ int shared[12400]; shared[threadIdx.x] = out[threadIdx.x]; __syncthreads(); "
        "out[threadIdx.x] = shared[63 - threadIdx.x];",
        "more than 48 KiB",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_within_a_kernel_are_found(device, fault):
    body, message = FAULTS[fault]
    with pytest.raises(RuntimeError, match=message):
        launch(device, body)


ORDERED = {  # the same with what makes them right
    "barriers": f"{SHARED} __syncthreads(); const int x = shared[63 - t]; __syncthreads(); "
    "shared[t] = x; out[t] = shared[t];",
    "one thread's own": "out[threadIdx.x] = 1; out[threadIdx.x] += 62;",
    "many readers": "const int x = out[0]; __syncthreads(); out[threadIdx.x] = x + 63;",
    "atomics": "atomicAdd(out, 1);",
}


@pytest.mark.parametrize("what", ORDERED)
def test_what_is_ordered_is_no_fault(device, what):
    assert launch(device, ORDERED[what]).max() in (63, 64)


LAST = """
    __shared__ float shared[32];
    parts[blockIdx.x * 64 + threadIdx.x] = blockIdx.x;
    {how}
    out[threadIdx.x] = parts[threadIdx.x] + parts[64 + threadIdx.x] + parts[191 - threadIdx.x];
"""
PARTS = "int* out, float* parts, uint32* counter"


def split(device, how):
    parts, counter = device.allocate(4 * 3 * THREADS), device.allocate(4)
    device.fill(counter.address, 4)
    given = (parts.address, counter.address)
    return launch(device, LAST.format(how=how), *given, grid=(3,), parameters=PARTS)


def test_the_last_block_may_read_what_all_left(device):
    assert set(split(device, "if (!comes_last(counter, 3, shared)) return;")) == {3}


@pytest.mark.parametrize(
    "how",
    [
        "if (blockIdx.x != 2) return;",  # blocks run in any order
        "if (threadIdx.x == 0) shared[0] = atomicInc(counter, 2) == 2;\n"  # nobody fenced
        "__syncthreads(); if (!shared[0]) return;",
        "__threadfence(); if (threadIdx.x == 0) shared[0] = atomicInc(counter, 2) == 2;\n"
        "__syncthreads(); if (!shared[0]) return;",  # no barrier before: others may still write
    ],
    ids=["order of blocks", "no fence", "no barrier"],
)
def test_blocks_that_read_each_others_parts_have_to_wait(how):
    for backwards in (False, True):
        with pytest.raises(RuntimeError, match=r"a race: .* global memory"):
            last = how.replace("blockIdx.x != 2", "blockIdx.x != 0") if backwards else how
            split(EmulatedDevice(backwards=backwards), last)


def test_small_numbers_are_zero_as_with_ftz(device):
    x = device.put(np.float32([1e-40]))
    got = launch(
        device, "out[threadIdx.x] = *x * 2 != 0.0f;", x.address, parameters="int* out, float* x"
    )
    assert not got.any()


LIMITS = [((2**31,), (1,)), ((1, 2**16), (1,)), ((1, 1, 2**16), (1,)), ((0,), (1,))]
LIMITS += [((1,), (1025,)), ((1,), (1, 1, 65)), ((1,), (32, 33)), ((1,), (0,))]


@pytest.mark.parametrize(("grid", "block"), LIMITS)
def test_grids_and_blocks_have_limits(device, grid, block):
    with pytest.raises(AssertionError):
        launch(device, "", grid=grid, block=block)


def refused(work, match, error=(RuntimeError, AssertionError)):
    device = EmulatedDevice(libraries={"cublaslt": lambda device: device})
    with pytest.raises(error, match=match):
        device.capture(lambda: work(device))


def test_captures_refuse_what_cuda_refuses():
    outside = EmulatedDevice().record()
    x = np.zeros(4, np.float32)
    refused(lambda device: device.allocate(8), "memory is asked for within a capture")
    refused(lambda device: device.pinned(8), "memory is asked for within a capture")
    refused(lambda device: device.synchronize(), "the host cannot wait")
    refused(lambda device: device.finish(outside), "the host cannot wait")
    refused(lambda device: device.copy_out(x, x.ctypes.data), "the host cannot wait")
    refused(lambda device: device.copy_in(x.ctypes.data, x), "pageable memory within a capture")
    refused(lambda device: device.library("cublaslt"), "opened within a capture")
    refused(lambda device: device.wait(outside), "an event from outside")
    refused(lambda device: device.beside().fill(0, 1), "takes no part in")


def test_a_capture_ends_when_all_its_streams_are_joined():
    device = EmulatedDevice()
    side = device.beside()
    x = device.put(np.zeros(4, np.uint8))

    def work(joins):
        side.wait(device.record())
        side.fill(x.address, 4, 7)
        if joins:
            device.wait(side.record())

    with pytest.raises(RuntimeError, match="before stream 1 is waited for"):
        device.capture(lambda: work(False))
    device.capture(lambda: work(True))()
    assert device.get(x, (4,), np.uint8).tolist() == [7] * 4
    events = []
    device.capture(lambda: events.append(device.record()))
    with pytest.raises(AssertionError, match="waited for outside"):
        device.wait(events[0])
