"""What is said when the memory of the GPU is full, on an emulated device that has little."""

import types

import numpy as np
import pytest
from emulated import in_place
from emulated_backend import EmulatedBackend, WatchfulDevice
from emulated_device import available
from tensorgraph_cupy.device import CudaDevice, FullError
from training_help import archive, command, train

import tensorgraph as tg
from tensorgraph.errors import BackendError

ADVICE = "smaller batches or images take less"


class Small(WatchfulDevice):
    """Has no room for more than 10 MB at a time."""

    def allocate(self, size):
        if size > 10e6:
            raise FullError(f"{size} bytes are asked for; {ADVICE}")
        return super().allocate(size)


@pytest.mark.skipif(not available(), reason="g++ is not installed")
def test_the_plan_and_what_it_takes_are_named():
    backend = EmulatedBackend()
    backend.planned = Small(machine=backend.device.machine)
    with in_place(backend), tg.use(backend="cupy"):
        step = tg.compile(lambda x, y: (tg.ops.exp(x) * y, tg.ops.cumsum(x, axis=0)))
        x, y = (tg.tensor(np.ones((n, n), np.float32)) for n in (1200, 1))
        with pytest.raises(FullError) as caught:
            step(x, y)
    said = str(caught.value)
    assert said.startswith(
        "compile: the plan of the step of (float32[1200,1200], float32[1,1]) does not fit in the "
        "memory of the GPU; it takes 5 MiB arguments, "
    )
    assert "MiB values in between: " in said and said.endswith(ADVICE)


def test_what_the_driver_says_becomes_an_error_with_a_way_out():
    class Runtime:
        @staticmethod
        def memGetInfo():  # noqa: N802  CUDA's name
            return 3 << 20, 2048 << 20

    def alloc(size):
        raise MemoryError("Out of memory allocating 1,073,741,824 bytes")

    cuda = types.SimpleNamespace(alloc=alloc, runtime=Runtime)
    device = CudaDevice(types.SimpleNamespace(cuda=cuda))
    message = r"1,024 MiB are asked for, and 3 of the GPU's 2,048 MiB are free; smaller batches"
    with pytest.raises(BackendError, match=message):
        device.allocate(1 << 30)
    with pytest.raises(MemoryError, match="precision 'bfloat16'"):
        device.allocate(1 << 30)


def test_an_op_that_finds_no_memory_ends_a_command_with_a_message(monkeypatch, tmp_path, capsys):
    """CuPy's own arrays, or NumPy's."""
    monkeypatch.chdir(tmp_path)
    archive("data.npz")

    def full(*arguments, **options):
        raise MemoryError("Unable to allocate 8.00 GiB for an array")

    monkeypatch.setattr(tg.config.get_backend("numpy"), "asarray", full, raising=False)
    assert command(*train("--data", "data.npz")) == 2
    want = f"memory is full: Unable to allocate 8.00 GiB for an array; {ADVICE}"
    assert capsys.readouterr().err == f"tensorgraph: {want}\n"
