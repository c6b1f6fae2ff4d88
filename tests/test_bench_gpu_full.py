"""The GPU benchmark's limits and kernels in full size on a device that is only described: that
nothing is asked for that no GPU takes, and that NVRTC compiles each source. None of this is a test
of a GPU."""

import pytest
from emulated_device import MOST_SHARED, MOST_THREADS
from gpu_rehearsal import Setting
from test_cuda_sources import check, compiled

import tensorgraph as tg
from bench.cuda import algorithms, kernels, limits
from bench.cuda.described import DescribedBackend, DescribedDevice


class Noting(DescribedDevice):
    """Keeps each source and function that is launched."""

    def __init__(self):
        super().__init__()
        self.sources = {}
        self.largest = 0

    def allocate(self, size):
        self.largest = max(self.largest, size)
        return super().allocate(size)

    def launch(self, source, function, grid, block, arguments, shared_bytes=0):
        grid, threads = (*grid, 1, 1)[:3], 1
        for n in block:
            threads *= n
        assert 0 < grid[0] < 2**31 and all(0 < n < 2**16 for n in grid[1:]), (function, grid)
        assert 0 < threads <= MOST_THREADS and shared_bytes <= MOST_SHARED, function
        self.sources.setdefault(source, function)


class Full(Setting):
    """All sizes as on a GPU, without PyTorch."""

    small = False

    def __init__(self):
        super().__init__()
        self.device = Noting()

    def backend(self):
        backend = DescribedBackend()
        backend.device = backend.arrays.device = self.device
        return backend

    def torch(self):
        return None


@pytest.fixture(scope="module")
def run():
    """Rows of a section by its name, and the device that was asked."""
    setting, rows = Full(), {}
    with tg.use(backend="numpy"):
        for section in (limits, kernels):
            found = rows[section.__name__.split(".")[-1]] = []
            section.run(setting, found.append)
    return rows, setting.device


def test_every_case_can_be_asked_for(run):
    rows, device = run
    assert not [row for found in rows.values() for row in found if "failed" in row]
    timed = [row for row in rows["kernels"] if "verdict" not in row and "left_out" not in row]
    assert len(timed) == len(kernels.ordered(False)) and all(r["seconds"] > 0 for r in timed)
    assert {row["by"] for row in timed} == {"own kernel", "cuBLASLt", "cuDNN"}
    assert max(row["bytes"] for row in rows["limits"] if row["kind"] == "copy") == 1 << 32
    assert device.largest < 4 << 30


def test_what_is_small_is_said_to_lie_in_the_cache(run):
    rows, _ = run
    timed = {(r["kind"], r["shape"], r["precision"]): r for r in rows["kernels"] if "shape" in r}
    assert timed["max_pool", "64x6x28x28, 2x2/2", "float32"]["in_cache"]
    assert not timed["max_pool", "256x64x112x112, 3x3/2", "float32"]["in_cache"]


def test_algorithms_of_problems_of_full_size():
    shapes = [shape for shape, _ in algorithms.problems(limits.Ground(Full()))]
    assert len(shapes) == len(set(shapes)) * 2 > 20, "each in two precisions"


@pytest.mark.slow  # some fifty sources
def test_every_source_compiles_without_spills(run):
    _, device = run
    assert device.sources.pop(limits.NOTHING) == "nothing"
    compiled(limits.NOTHING, "nothing.cu", "sm_90")
    assert len(device.sources) > 40
    for number, source in enumerate(device.sources):
        check(source, f"benchmark{number}.cu", "sm_90")
