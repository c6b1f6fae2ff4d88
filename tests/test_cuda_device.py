"""The emulated device itself: what it runs, and that it finds what is wrong."""

import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.cuda import complete

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")


def kernel(text):
    return complete("test.cu", f'#include "common.cuh"\n{text}')


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def device(request):
    return EmulatedDevice(backwards=request.param)


TOTAL = kernel(
    """
KERNEL total(const float* x, float* out, int n) {
    __shared__ float shared[32];
    float own = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) own += x[blockIdx.x * n + i];
    own = over_block(own, Sum(), shared);
    const float most = over_block(own + threadIdx.x, Largest(), shared);
    if (threadIdx.x == 0) out[blockIdx.x] = most;
}
"""
)


@pytest.mark.parametrize("threads", [32, 64, 256, 1024])
def test_reductions_over_a_block(device, threads):
    x = np.random.default_rng(0).standard_normal((3, 1000)).astype(np.float32)
    given, out = device.put(x), device.allocate(12)
    arguments = (given.address, out.address, np.int32(1000))
    device.launch(TOTAL, "total", (3,), (threads,), arguments)
    want = x.sum(1) + threads - 1
    np.testing.assert_allclose(device.get(out, (3,), np.float32), want, rtol=1e-5)


def launch(device, text, *arguments, block=(64,), shared=0):
    device.launch(kernel(f"KERNEL run{text}"), "run", (1,), block, arguments, shared)


def test_threads_in_three_dimensions_and_dynamic_shared_memory(device):
    out = device.allocate(24 * 4)
    text = """(int* out) {
        extern __shared__ int shared[];
        const int i = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        shared[i] = threadIdx.z * 100 + threadIdx.y * 10 + threadIdx.x;
        __syncthreads();
        out[i] = shared[23 - i];
    }"""
    launch(device, text, out.address, block=(2, 3, 4), shared=96)
    want = [z * 100 + y * 10 + x for z in range(4) for y in range(3) for x in range(2)]
    assert device.get(out, (24,), np.int32).tolist() == want[::-1]


def test_what_is_wrong_is_found(device):
    out = device.allocate(8)
    with pytest.raises(RuntimeError, match="barrier or shuffle that the others never reach"):
        launch(device, "(int* out) { if (threadIdx.x) __syncthreads(); }", out.address)
    with pytest.raises(RuntimeError, match="mask is not that of the warp's lanes"):
        text = "(int* out) { __shfl_xor_sync(ALL_LANES, 1, 1); }"
        launch(device, text, out.address, block=(20,))
    with pytest.raises(RuntimeError, match="declared: p i4 - given: p i8"):
        launch(device, "(int* out, int n) {}", out.address, np.int64(1))
    with pytest.raises(RuntimeError, match="g\\+\\+ says"):
        launch(device, "(int* out) { out = 1.5; }", out.address)
    with pytest.raises(RuntimeError, match=r"writes 4 bytes .* which is no memory of the device"):
        launch(device, "(int* out) { out[2] = 1; }", out.address, block=(1,))


ADD = kernel("KERNEL add(float* x, float y) { *x = *x + y; }\nKERNEL twice(float* x) { *x *= 2; }")


def test_a_graph_runs_each_time_it_is_called(device):
    x = device.put(np.float32([1]))

    def work():
        device.launch(ADD, "add", (1,), (1,), (x.address, np.float32(3)))
        device.launch(ADD, "twice", (1,), (1,), (x.address,))

    replay = device.capture(work)
    assert device.get(x, (1,), np.float32) == 1
    replay(), replay()
    assert device.get(x, (1,), np.float32) == 22


def test_streams_of_a_graph_are_ordered_by_events_alone():
    """(1 + 3) * 2 where the second stream waits; without it one of two orders doubles first."""

    def run(backwards, waits):
        device = EmulatedDevice(backwards=backwards)
        x, side = device.put(np.float32([1])), device.beside()

        def work():
            side.wait(device.record())  # both take part
            device.launch(ADD, "add", (1,), (1,), (x.address, np.float32(3)))
            if waits:
                side.wait(device.record())
            side.launch(ADD, "twice", (1,), (1,), (x.address,))
            device.wait(side.record())

        device.capture(work)()
        return float(device.get(x, (1,), np.float32)[0])

    assert {run(False, True), run(True, True)} == {8}
    assert {run(False, False), run(True, False)} == {8, 5}
